<?php
// What Cutover asks of the opcache of the pool that runs this: run by `cutover`, never by a visitor (a web server
// passes on no such parameter). It declares nothing and executes nothing of a release. The order and its words come in
// the body, a NUL between two; the answer is JSON. See opcache/ask.rs.
(static function (): void {
    if (getenv('CUTOVER_ORDER') !== 'opcache') {
        http_response_code(404);
        return;
    }
    foreach (['display_errors' => '1', 'html_errors' => '0', 'log_errors' => '0', 'memory_limit' => '-1', 'opcache.file_update_protection' => '0'] as $key => $value) {
        @ini_set($key, $value);
    }
    @set_time_limit(0);
    $words = explode("\0", (string) file_get_contents('php://input'));
    $order = array_shift($words);
    $calls = ['opcache_get_status', 'opcache_compile_file', 'opcache_is_script_cached', 'opcache_invalidate'];
    $missing = array_values(array_filter($calls, static fn (string $call): bool => !function_exists($call)));
    $status = $missing === [] ? @opcache_get_status(false) : false;
    $restrict = (string) ini_get('opcache.restrict_api');
    $unusable = match (true) {
        !extension_loaded('Zend OPcache') => ['absent', ''],
        $missing !== [] => ['forbidden', implode(', ', $missing)],
        $status === false && $restrict !== '' && strncmp(__FILE__, $restrict, strlen($restrict)) !== 0 => ['restricted', $restrict],
        (bool) ini_get('opcache.enable') && (bool) ini_get('opcache.file_cache_only') => ['file_only', (string) ini_get('opcache.file_cache')],
        $status === false || empty($status['opcache_enabled']) => ['off', ''],
        default => null,
    };
    $out = ['unusable' => $unusable];
    // A script that was invalidated stands in the list until the restart.
    $scripts = static function (): iterable {
        $status = @opcache_get_status(true);
        foreach ($status['scripts'] ?? [] as $path => $script) {
            if (isset($script['timestamp']) ? $script['timestamp'] !== 0 : opcache_is_script_cached((string) $path)) {
                yield (string) $path => $script;
            }
        }
    };
    ob_start();
    if ($unusable !== null) {
        $order = 'nothing';
    }
    switch ($order) {
        case 'look':
            // The directory of releases, or nothing, and the name of one of them, or nothing for all: the scripts
            // below it are wanted one by one, by their paths in their releases.
            [$releases, $release] = [rtrim($words[0] ?? '', '/') . '/', $words[1] ?? ''];
            [$shares, $profile] = [[], []];
            foreach ($releases === '/' ? [] : $scripts() as $path => $script) {
                $inside = strncmp($path, $releases, strlen($releases)) === 0 ? explode('/', substr($path, strlen($releases)), 2) : [];
                $id = count($inside) === 2 ? $inside[0] : '';
                [$count, $bytes] = $shares[$id] ?? [0, 0];
                $shares[$id] = [$count + 1, $bytes + $script['memory_consumption']];
                if ($id !== '' && ($release === '' || $release === $id)) {
                    [$hits, $last, $bytes] = $profile[$inside[1]] ?? [0, 0, 0];
                    $profile[$inside[1]] = [$hits + $script['hits'], max($last, $script['last_used_timestamp']), max($bytes, $script['memory_consumption'])];
                }
            }
            $out += ['shares' => (object) $shares, 'profile' => (object) $profile];
            break;
        case 'compile':
            // Milliseconds after which to stop, bytes (negative: fill it to the brim) and keys that stay free, and the files.
            [$limit, $spare, $keys] = array_map('intval', array_splice($words, 0, 3));
            $until = hrtime(true) + $limit * 1_000_000;
            $out += ['done' => 0, 'cached' => 0, 'compiled' => 0, 'again' => [], 'errors' => [], 'stopped' => 'end'];
            foreach ($words as $index => $file) {
                $status = opcache_get_status(false);
                if ($status === false || $status['cache_full'] || $status['restart_pending'] || $status['restart_in_progress']) {
                    $out['stopped'] = 'restart';
                    break;
                }
                $known = opcache_is_script_cached($file);
                // Compiled code takes up to ten times the room of its source.
                $room = $status['memory_usage']['free_memory'] - $spare - 10 * (int) @filesize($file);
                $statistics = $status['opcache_statistics'];
                if (!$known && $spare >= 0 && ($room < 0 || $statistics['max_cached_keys'] - $statistics['num_cached_keys'] < max(2, $keys))) {
                    $out['stopped'] = 'room';
                    break;
                }
                try {
                    ob_clean();
                    if (!$known) {
                        @opcache_compile_file($file);
                    }
                    if ($known || opcache_is_script_cached($file)) {
                        $out['cached']++;
                        $out['compiled'] += (int) !$known;
                    } else {
                        // `Fatal error: Cannot redeclare f() (previously declared in …) in … on line 3`: no handler hears of it.
                        $fatal = preg_match('/^(?:PHP )?Fatal error: +(.*) in .* on line (\d+)$/m', (string) ob_get_contents(), $found);
                        $out['again'][] = [$index, (int) ($found[2] ?? 0), match (true) {
                            $fatal === 1 => $found[1],
                            !is_file($file) => 'the pool does not find it',
                            !is_readable($file) => 'the user of the pool may not read it',
                            filemtime($file) === 0 => 'opcache takes no file whose mtime is 0',
                            (int) ini_get('opcache.max_file_size') > 0 && filesize($file) > (int) ini_get('opcache.max_file_size') => 'it is larger than opcache.max_file_size',
                            default => '',
                        }];
                    }
                } catch (\ParseError $error) {
                    $out['errors'][] = [$index, $error->getLine(), $error->getMessage()];
                } catch (\Throwable $error) {
                    $out['again'][] = [$index, $error->getLine(), $error->getMessage()];
                }
                $out['done']++;
                if (hrtime(true) >= $until && $index + 1 < count($words)) {
                    $out['stopped'] = 'time';
                    break;
                }
            }
            break;
        case 'cached':
            $out['cached'] = array_map('opcache_is_script_cached', $words);
            break;
        case 'invalidate':
            // Of a file that is gone PHP says that it failed, and does it all the same.
            foreach ($words as $file) {
                opcache_invalidate($file, true);
            }
            break;
        case 'collect':
            // What is cached below these directories.
            $out['collected'] = 0;
            foreach ($scripts() as $path => $script) {
                foreach ($words as $dir) {
                    if ($dir !== '' && strncmp($path, $dir . '/', strlen($dir) + 1) === 0) {
                        opcache_invalidate($path, true);
                        $out['collected']++;
                    }
                }
            }
            break;
    }
    $status = $unusable === null ? @opcache_get_status(false) : false;
    if (is_array($status) && isset($status['memory_usage'])) {
        [$memory, $counts] = [$status['memory_usage'], $status['opcache_statistics']];
        $out['figures'] = [
            'used' => $memory['used_memory'], 'free' => $memory['free_memory'], 'wasted' => $memory['wasted_memory'],
            'max_wasted' => (int) ini_get('opcache.max_wasted_percentage'),
            'full' => $status['cache_full'], 'restarting' => $status['restart_pending'] || $status['restart_in_progress'],
            'keys' => $counts['num_cached_keys'], 'max_keys' => $counts['max_cached_keys'], 'scripts' => $counts['num_cached_scripts'],
            'hits' => $counts['hits'], 'misses' => $counts['misses'], 'started' => $counts['start_time'],
            'restarts' => $counts['oom_restarts'] + $counts['hash_restarts'] + $counts['manual_restarts'],
            'interned' => $status['interned_strings_usage']['used_memory'] ?? 0,
            'interned_free' => $status['interned_strings_usage']['free_memory'] ?? 0,
            'jit' => empty($status['jit']['on']) ? 0 : $status['jit']['buffer_size'],
            'jit_free' => empty($status['jit']['on']) ? 0 : $status['jit']['buffer_free'],
            'preload' => (string) ini_get('opcache.preload'), 'php' => PHP_VERSION,
        ];
    }
    ob_end_clean();
    header('Content-Type: application/json');
    echo json_encode($out, JSON_INVALID_UTF8_SUBSTITUTE);
})();
