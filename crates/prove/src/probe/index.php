<?php
// Front controller of the probe application: answers whatever has no file of its own.
$route = strtok($_SERVER['REQUEST_URI'], '?');
$known = strncmp($route, '/route/', 7) === 0;
header('Content-Type: text/plain');
http_response_code($known ? 200 : 404);
echo "front [release __RELEASE__]\n";
require __DIR__ . '/parts/dir.php';
require $_SERVER['DOCUMENT_ROOT'] . '/parts/root.php';
echo $known ? "route $route\n" : "nothing at $route\n";
