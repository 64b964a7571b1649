//! `bindings <module.wasm> <folder>`: writes the bound module and its JavaScript into a folder, as `bindings.js` and
//! `bindings_bg.wasm`, in the form that browsers, bundlers and Node can all load.

use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        eprintln!("bindings <module.wasm> <folder>");
        return ExitCode::FAILURE;
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("bindings").typescript(false);
    // Without the default path, `init()` without arguments does not know where the module is.
    let made = bindgen.web(true).and_then(|web| web.omit_default_module_path(false).generate(folder));
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bindings: {error:#}");
            ExitCode::FAILURE
        }
    }
}
