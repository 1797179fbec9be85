<?php
echo "__PART__ [release __RELEASE__]\n";
