//! What the standard library would bring: the allocator, and what becomes of a panic.

use rlsf::SmallGlobalTlsf;

#[global_allocator]
static ALLOCATOR: SmallGlobalTlsf = SmallGlobalTlsf::new();

/// A panic is a fault of this library. JavaScript gets a `WebAssembly.RuntimeError` whose stack names the place; a message
/// could go nowhere from here, and all that makes messages would be a fifth of the module.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}
