<?php
// What `cutover doctor` asks of the pool that runs this; never run by a visitor (a web server passes on no such
// parameter). It declares nothing, includes nothing, changes nothing. Its mtime is 0, which opcache takes for "do not
// keep", so that asking costs the cache nothing. The answer is JSON behind a mark: what was prepended may speak too.
(static function (): void {
    if (getenv('CUTOVER_QUESTION') !== 'inside') {
        http_response_code(404);
        return;
    }
    @ini_set('display_errors', '0');
    $has = static fn (string $call): bool => function_exists($call);
    $text = static fn (mixed $value): string => is_string($value) ? $value : '';
    $out = ['php' => PHP_VERSION, 'sapi' => PHP_SAPI, 'zts' => (bool) PHP_ZTS, 'pid' => $has('getmypid') ? (int) getmypid() : 0];
    $out['extensions'] = $has('get_loaded_extensions') ? get_loaded_extensions() : [];
    $out['loaded'] = $has('php_ini_loaded_file') ? $text(php_ini_loaded_file()) : '';
    $scanned = $has('php_ini_scanned_files') ? $text(php_ini_scanned_files()) : '';
    $out['scanned'] = array_values(array_filter(array_map('trim', explode(',', $scanned)), 'strlen'));
    $out['cwd'] = $has('getcwd') ? $text(getcwd()) : '';
    $out['ini'] = new stdClass();
    $names = '/^(opcache\.|realpath_cache_|apc\.|incpath\.|(include_path|open_basedir|disable_functions|disable_classes|max_execution_time|memory_limit|auto_prepend_file|auto_append_file|expose_php|cgi\.fix_pathinfo|user_ini\.filename|session\.save_handler|doc_root|extension_dir|post_max_size|upload_max_filesize|variables_order)$)/';
    if ($has('ini_get_all')) {
        foreach ((array) @ini_get_all(null, false) as $key => $value) {
            if (preg_match($names, (string) $key) === 1) {
                $out['ini']->{$key} = (string) $value;
            }
        }
    }
    $status = $has('opcache_get_status') ? @opcache_get_status(true) : false;
    $out['opcache'] = match (true) {
        !extension_loaded('Zend OPcache') => ['state' => 'absent'],
        !$has('opcache_get_status') => ['state' => 'forbidden'],
        $status === false && (string) ini_get('opcache.restrict_api') !== '' => ['state' => 'restricted'],
        $status === false || empty($status['opcache_enabled']) => ['state' => 'off'],
        !isset($status['memory_usage']) => ['state' => 'file_only'],
        default => (static function () use ($status): array {
            [$memory, $counts] = [$status['memory_usage'], $status['opcache_statistics']];
            $strings = $status['interned_strings_usage'] ?? [];
            // For each release (a directory below releases/ or slots/), and for all else: scripts and bytes.
            $shares = [];
            foreach ($status['scripts'] ?? [] as $path => $script) {
                if (($script['timestamp'] ?? 1) === 0) {
                    continue; // invalidated, and listed until the restart
                }
                $home = preg_match('~^(.+/(?:releases|slots)/[^/]+)/~', (string) $path, $found) === 1 ? $found[1] : '';
                [$scripts, $bytes] = $shares[$home] ?? [0, 0];
                $shares[$home] = [$scripts + 1, $bytes + $script['memory_consumption']];
            }
            return [
                'state' => 'on', 'used' => $memory['used_memory'], 'free' => $memory['free_memory'], 'wasted' => $memory['wasted_memory'],
                'full' => $status['cache_full'], 'restarting' => $status['restart_pending'] || $status['restart_in_progress'],
                'keys' => $counts['num_cached_keys'], 'max_keys' => $counts['max_cached_keys'], 'scripts' => $counts['num_cached_scripts'],
                'hits' => $counts['hits'], 'misses' => $counts['misses'],
                'oom_restarts' => $counts['oom_restarts'], 'hash_restarts' => $counts['hash_restarts'], 'manual_restarts' => $counts['manual_restarts'],
                'interned' => $strings['used_memory'] ?? 0, 'interned_free' => $strings['free_memory'] ?? 0,
                'jit' => empty($status['jit']['on']) ? 0 : $status['jit']['buffer_size'], 'jit_free' => empty($status['jit']['on']) ? 0 : $status['jit']['buffer_free'],
                'shares' => (object) $shares,
            ];
        })(),
    };
    // What this one worker remembers of links: from where to where.
    $out['realpath'] = ['size' => $has('realpath_cache_size') ? realpath_cache_size() : 0, 'entries' => 0, 'links' => new stdClass()];
    if ($has('realpath_cache_get')) {
        $entries = realpath_cache_get();
        $out['realpath']['entries'] = count($entries);
        $links = array_filter($entries, static fn (array $entry, string $path): bool => $entry['realpath'] !== $path, ARRAY_FILTER_USE_BOTH);
        foreach (array_slice($links, 0, 200, true) as $path => $entry) {
            $out['realpath']['links']->{$path} = $entry['realpath'];
        }
    }
    $out['apcu'] = null;
    if ($has('apcu_cache_info') && $has('apcu_enabled') && apcu_enabled()) {
        [$info, $memory] = [@apcu_cache_info(false), @apcu_sma_info(true)];
        $keys = array_map(static fn (array $entry): string => (string) ($entry['info'] ?? $entry['key'] ?? ''), array_slice($info['cache_list'] ?? [], 0, 300));
        $out['apcu'] = [
            'entries' => $info['num_entries'] ?? 0, 'keys' => $keys, 'expunges' => $info['expunges'] ?? 0,
            'size' => ($memory['num_seg'] ?? 1) * ($memory['seg_size'] ?? 0), 'free' => $memory['avail_mem'] ?? 0,
        ];
    }
    header('Content-Type: text/plain');
    echo "\x1e", json_encode($out, JSON_INVALID_UTF8_SUBSTITUTE), "\x1e";
})();
