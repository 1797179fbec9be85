//! The bindings are what apache2-dev says, by its own headers.

#[allow(
    dead_code,
    non_camel_case_types,
    missing_docs,
    reason = "all of it is compared, none of it is called"
)]
#[path = "../../src/bindings.rs"]
mod bindings;

use bindings::*;
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

/// Each line of the C program prints what the line of ours here says.
#[test]
fn offsets_sizes_and_constants_are_those_of_the_headers() {
    if !Path::new("/usr/include/apache2/httpd.h").exists() {
        println!(
            "\nskipped: offsets_sizes_and_constants_are_those_of_the_headers: apache2-dev is not installed\n"
        );
        return;
    }
    let mut c = String::from(
        "#include <stdio.h>\n#include <stddef.h>\n#include \"httpd.h\"\n#include \"http_config.h\"\n#include \"http_core.h\"\n\
         #include \"http_log.h\"\n#include \"util_cfgtree.h\"\n#include \"ap_mmn.h\"\n#include \"apr_fnmatch.h\"\n#include \"apr_hooks.h\"\nint main(void) {\n",
    );
    let mut ours = String::new();
    let mut line = |name: &str, expression: &str, value: i64| {
        c.push_str(&format!("printf(\"{name} %lld\\n\", (long long)({expression}));\n"));
        ours.push_str(&format!("{name} {value}\n"));
    };
    macro_rules! fields { ($($type:ident: $($field:ident)*;)*) => { $($(
        line(concat!(stringify!($type), ".", stringify!($field)), concat!("offsetof(", stringify!($type), ", ", stringify!($field), ")"), offset_of!($type, $field) as i64);
    )*)* } }
    fields! {
        request_rec: pool connection server next prev main err_headers_out subprocess_env unparsed_uri uri filename canonical_filename path_info per_dir_config request_config;
        conn_rec: pool conn_config;
        server_rec: process next module_config lookup_defaults defn_name defn_line_number is_virtual server_admin server_hostname;
        core_server_config: gprof_dir ap_document_root access_name sec_dir;
        module: version minor_version module_index name dynamic_load_handle next magic rewrite_args create_dir_config merge_dir_config create_server_config merge_server_config cmds register_hooks flags;
        command_rec: name func cmd_data req_override args_how errmsg;
        cmd_parms: info override_opts override_list limited limited_xmethods xlimited config_file directive pool temp_pool server path cmd context err_directive;
        ap_directive_t: directive args next first_child parent data filename line_num last;
        apr_array_header_t: pool elt_size nelts nalloc elts;
    }
    line(
        "request_rec.finfo.filetype",
        "offsetof(request_rec, finfo) + offsetof(apr_finfo_t, filetype)",
        offset_of!(request_rec, finfo_filetype) as i64,
    );
    line("cmd_parms.override", "offsetof(cmd_parms, override)", offset_of!(cmd_parms, override_) as i64);
    macro_rules! sizes { ($($type:ident)*) => { $(
        line(concat!("sizeof ", stringify!($type)), concat!("sizeof(", stringify!($type), ")"), size_of::<$type>() as i64);
    )* } }
    sizes! { server_rec module command_rec cmd_parms ap_directive_t apr_array_header_t apr_status_t }
    macro_rules! constants { ($($name:ident)*) => { $( line(stringify!($name), stringify!($name), $name as i64); )* } }
    constants! {
        MODULE_MAGIC_NUMBER_MAJOR MODULE_MAGIC_COOKIE OK DECLINED HTTP_INTERNAL_SERVER_ERROR HTTP_SERVICE_UNAVAILABLE
        APR_HOOK_REALLY_FIRST APR_HOOK_MIDDLE APR_HOOK_REALLY_LAST APR_NOFILE APR_FNM_PATHNAME APR_FILEPATH_TRUENAME
        APLOG_ERR APLOG_WARNING APLOG_NOTICE APLOG_INFO OR_ALL ACCESS_CONF RSRC_CONF OPT_ALL OPT_SYM_OWNER OPT_MULTI TAKE1 ITERATE
    }
    c.push_str("fprintf(stderr, \"%d\", MODULE_MAGIC_NUMBER_MINOR); return 0; }\n");
    let dir = tempfile::tempdir().unwrap();
    let (source, program) = (dir.path().join("layout.c"), dir.path().join("layout"));
    std::fs::write(&source, c).unwrap();
    let made = Command::new("cc")
        .args(["-I/usr/include/apache2", "-I/usr/include/apr-1.0", "-D_GNU_SOURCE", "-w", "-o"])
        .args([&program, &source])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let out = Command::new(&program).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout), ours);
    let minor: i32 = String::from_utf8_lossy(&out.stderr).parse().unwrap();
    assert!(
        minor >= MODULE_MAGIC_NUMBER_MINOR,
        "these headers are older than those that the bindings were made from"
    );
}
