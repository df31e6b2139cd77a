//! The image for Arm MPS3 AN547.
#![no_std]
#![no_main]

firmware_cortex_m::image!(cmsdk);
