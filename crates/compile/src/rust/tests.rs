//! What is written for small models.

use super::*;

#[test]
fn package_names_are_those_that_cargo_takes() {
    for name in ["kws", "my-model_2", "Model"] {
        assert!(is_package_name(name), "{name}");
    }
    for name in ["", "2d", "a b", "é", "a.b", "core", "runtime", "fn", "-a"] {
        assert!(!is_package_name(name), "{name}");
    }
}

#[test]
fn numbers_are_written_to_the_bit() {
    for value in [0.1f32, 1e-20, 3.0, 1.0 / 3.0] {
        assert_eq!(real(value).parse::<f32>().unwrap(), value);
    }
    assert_eq!(real(f32::INFINITY), "f32::from_bits(0x7f800000)");
}
