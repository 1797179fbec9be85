<?php
// Only every other release has this script; in the others the front controller answers.
header('Content-Type: text/plain');
echo "sometimes [release __RELEASE__]\n";
require __DIR__ . '/parts/dir.php';
