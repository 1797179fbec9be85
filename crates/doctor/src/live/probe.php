<?php
// Put here by `cutover doctor --live --probe`, for a moment; it answers only who knows the word, and changes nothing.
if (!hash_equals('{word}', (string) ($_SERVER['HTTP_X_CUTOVER_PROBE'] ?? ''))) {
    http_response_code(404);
    exit;
}
header('Content-Type: text/plain');
header('Cache-Control: no-store');
echo "\x1e", json_encode([
    'script' => $_SERVER['SCRIPT_FILENAME'] ?? '', 'root' => $_SERVER['DOCUMENT_ROOT'] ?? '', 'file' => __FILE__, 'dir' => getcwd(),
    'sapi' => PHP_SAPI, 'ttl' => (string) ini_get('realpath_cache_ttl'), 'size' => (string) ini_get('realpath_cache_size'),
    'opcache' => extension_loaded('Zend OPcache') && ini_get('opcache.enable'), 'validates' => (bool) ini_get('opcache.validate_timestamps'),
    'release' => (string) ($_SERVER['CUTOVER_RELEASE'] ?? ''),
]), "\x1e";
