//! See `firmware_build`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    firmware_build::generate()
}
