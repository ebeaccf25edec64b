//! Whether the binary is position independent: always, except with the feature `fixed-address`.

use std::fs;

#[test]
fn only_fixed_address_gives_up_random_addresses() {
    let program = fs::read(env!("CARGO_BIN_EXE_causeway")).expect("the binary");
    // `e_type` of the ELF header, little-endian: 2 is ET_EXEC, 3 is ET_DYN.
    let kind = if cfg!(feature = "fixed-address") { [2, 0] } else { [3, 0] };
    assert_eq!(program[..4], *b"\x7fELF");
    assert_eq!(program[16..18], kind);
}
