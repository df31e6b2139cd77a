//! The image for Arm MPS2 AN505.
#![no_std]
#![no_main]

firmware_cortex_m::image!(cmsdk);
