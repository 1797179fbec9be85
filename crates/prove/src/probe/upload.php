<?php
// Says what it was sent: whoever sent it can tell whether all of it arrived.
$body = file_get_contents('php://input');
header('Content-Type: text/plain');
echo "upload [release __RELEASE__]\n";
require __DIR__ . '/parts/dir.php';
echo 'length ', strlen($body), ' fnv1a64 ', hash('fnv1a64', $body), "\n";
