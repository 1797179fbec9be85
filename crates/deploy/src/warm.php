<?php
// Compiles the PHP files that are named in the body, a NUL between two, into opcache; run by `cutover deploy` through
// the pool, before the flip. Nothing is executed and no class declared. Answers in JSON.
(static function (): void {
    @ini_set('opcache.file_update_protection', '0');
    @ini_set('display_errors', '0');
    @set_time_limit(0);
    $status = function_exists('opcache_get_status') ? @opcache_get_status(false) : false;
    $out = ['opcache' => is_array($status) && !empty($status['opcache_enabled']), 'full' => false,
        'cached' => 0, 'again' => [], 'errors' => []];
    if (is_array($status)) {
        $out['full'] = !empty($status['cache_full']) || !empty($status['restart_pending']);
    }
    $files = $out['opcache'] && !$out['full'] ? explode("\0", (string) file_get_contents('php://input')) : [];
    ob_start();
    foreach ($files as $file) {
        try {
            error_clear_last();
            @opcache_compile_file($file);
            if (opcache_is_script_cached($file)) {
                $out['cached']++;
            } else {
                $last = error_get_last();
                $out['again'][] = [$file, $last === null ? '' : $last['message'], $last === null ? 0 : $last['line']];
            }
        } catch (\ParseError $error) {
            $out['errors'][] = [$error->getFile(), $error->getLine(), $error->getMessage()];
        } catch (\Throwable $error) {
            $out['again'][] = [$file, $error->getMessage(), $error->getLine()];
        }
    }
    ob_end_clean();
    header('Content-Type: application/json');
    echo json_encode($out, JSON_INVALID_UTF8_SUBSTITUTE);
})();
