//! The image for BBC micro:bit.
#![no_std]
#![no_main]

firmware_cortex_m::image!(nrf51);
