//! What is written down of PHP, compared with its headers by a C compiler.

use std::process::Command;

use crate::php::text;
use crate::zend;

#[test]
fn what_is_written_down_of_php_is_what_its_headers_say() {
    let config = std::env::var("CUTOVER_PHP_CONFIG").unwrap_or_else(|_| "php-config8.2".into());
    let Ok(includes) = Command::new(&config).arg("--includes").output() else {
        println!(
            "\nskipped: what_is_written_down_of_php_is_what_its_headers_say: there is no {config} (apt-get install php8.2-dev)"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut code =
        "#include <php.h>\n#include <SAPI.h>\n#include <stddef.h>\n#include <stdio.h>\nint main(void) {\n"
            .to_owned();
    for (expression, _) in zend::layout() {
        code += &format!("printf(\"%zu\\n\", (size_t)({expression}));\n");
    }
    // The names of the symbols and what they take: a declaration that differs is an error.
    code += "return 0; }\n";
    code += SYMBOLS;
    let (source, program) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&source, code).unwrap();
    let includes = text(&includes.stdout);
    let compiled = Command::new("cc")
        .args(includes.split(' '))
        .arg("-c")
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", text(&compiled.stderr));
    let linked = Command::new("cc")
        .arg("-x")
        .arg("none")
        .arg(&program)
        .arg("-o")
        .arg(dir.path().join("run"))
        .output()
        .unwrap();
    assert!(linked.status.success(), "{}", text(&linked.stderr));
    let said = text(&Command::new(dir.path().join("run")).output().unwrap().stdout);
    let theirs: Vec<usize> = said.lines().map(|line| line.parse().unwrap()).collect();
    for ((expression, ours), theirs) in zend::layout().into_iter().zip(&theirs) {
        assert_eq!(ours, *theirs, "{expression}");
    }
    assert_eq!(theirs.len(), zend::layout().len());
}

/// What we take PHP's symbols to be: two declarations of one name that differ do not compile.
const SYMBOLS: &str = r#"
#include <ext/standard/info.h>
#include <Zend/zend_virtual_cwd.h>
extern sapi_module_struct sapi_module;
extern zend_op_array *(*zend_compile_file)(zend_file_handle *, int);
extern zend_string *(*zend_string_init_interned)(const char *, size_t, bool);
zend_result zend_register_ini_entries(const zend_ini_entry_def *, int);
void zend_unregister_ini_entries(int);
char *zend_ini_string_ex(const char *, size_t, int, bool *);
zend_result zend_alter_ini_entry_chars_ex(zend_string *, const char *, size_t, int, int, int);
zend_result zend_restore_ini_entry(zend_string *, int);
zend_result zend_register_functions(zend_class_entry *, const zend_function_entry *, HashTable *, int);
void zend_disable_functions(const char *);
zend_result zend_parse_parameters(uint32_t, const char *, ...);
zend_string *zend_string_concat3(const char *, size_t, const char *, size_t, const char *, size_t);
void php_error_docref(const char *, int, const char *, ...);
size_t php_output_write(const char *, size_t);
void php_info_print_table_start(void);
void php_info_print_table_row(int, ...);
void php_info_print_table_end(void);
void display_ini_entries(zend_module_entry *);
char *sapi_getenv(const char *, size_t);
int sapi_add_header_ex(const char *, size_t, bool, bool);
void realpath_cache_clean(void);
void _efree(void *);
"#;
