<?php
// Main script of the probe application: every part that goes into the answer names its release.
$sleep_us = __SLEEP_US__;
header('Content-Type: text/plain');
echo "main [release __RELEASE__]\n";
require __DIR__ . '/parts/dir.php';
usleep($sleep_us);
require $_SERVER['DOCUMENT_ROOT'] . '/parts/root.php';
usleep($sleep_us);
require './parts/relative.php';
set_include_path($_SERVER['DOCUMENT_ROOT'] . '/parts');
require 'path.php';
spl_autoload_register(function ($class) {
    require __DIR__ . "/parts/$class.php";
});
Loaded::say();
usleep($sleep_us);
readfile($_SERVER['DOCUMENT_ROOT'] . '/parts/data.txt');
echo "end [release __RELEASE__]\n";
