<?php
class Loaded
{
    public static function say()
    {
        echo "class [release __RELEASE__]\n";
    }
}
