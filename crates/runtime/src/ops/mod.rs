//! The operators, one file each, in one order: what it computes, its operands, the device half
//! (a static [`Op`] per type), the host half, tests.
//!
//! To add one: write its file, and add its line to the list below.

use crate::Op;

mod binary_i16;
#[cfg(feature = "host")]
mod binary_scalar;
mod broadcast;
mod conv_2d_long;
mod divide;
mod indices;
mod power;
mod product;
mod softmax_i16;
mod stepwise;
mod unary_i16;
mod walk;
mod window;
pub use window::Window2d;

/// Reads the smallest and the largest int8 output. In a damaged file the second may be below the
/// first; kernels never see that.
pub(crate) fn limits_i8(params: &mut format::Params<'_>) -> [i8; 2] {
    let low = params.u8() as i8;
    [low, (params.u8() as i8).max(low)]
}

/// As [`limits_i8`], for int16 outputs.
pub(crate) fn limits_i16(params: &mut format::Params<'_>) -> [i16; 2] {
    let low = params.i16();
    [low, params.i16().max(low)]
}

macro_rules! operators {
    ($($module:ident: $attributes:ident [$($op:ident),*];)*) => {
        $(pub mod $module;)*

        /// Every operator of the device, for hosts. Firmware names the ones it needs instead.
        pub static ALL: &[&Op] = &[$($(&$module::$op,)*)*];

        /// The path of each of them below this module, in the same order.
        #[cfg(feature = "host")]
        pub static PATHS: &[&str] =
            &[$($(concat!(stringify!($module), "::", stringify!($op)),)*)*];

        /// The semantic attributes of any operator.
        #[cfg(feature = "host")]
        #[derive(Clone, Debug, PartialEq)]
        pub enum Kind {
            $(
                #[doc = concat!("See [`", stringify!($module), "`].")]
                $attributes($module::$attributes),
            )*
        }

        #[cfg(feature = "host")]
        impl Kind {
            /// The host half.
            pub fn operator(&self) -> &dyn crate::host::Operator {
                match self {
                    $(Kind::$attributes(attributes) => attributes,)*
                }
            }
        }

        $(
            #[cfg(feature = "host")]
            impl From<$module::$attributes> for Kind {
                fn from(attributes: $module::$attributes) -> Self {
                    Kind::$attributes(attributes)
                }
            }
        )*
    };
}

operators! {
    conv_2d: Conv2d [I8, I16, LONG_I16, F32, NARROW_I8, NARROW_F32];
    fully_connected: FullyConnected [];
    binary: Binary [ADD_I8, ADD_I16, WIDE_I16, STEPWISE_I8, STEPWISE_I16, DIVIDE_I8, DIVIDE_I16, POWER_I8, F32];
    average_pool_2d: AveragePool2d [I8, I16, SCALED_I8, SCALED_I16, UP_I8, EVEN_I8, REAL_I8, F32];
    max_pool_2d: MaxPool2d [I8, I16, F32];
    unary: Unary [I8, I16, SIGMOID_I16, BENT_I16, F32];
    softmax: Softmax [I8, SCALED_I8, I16, F32];
    log_softmax: LogSoftmax [I8, F32];
    l2_normalize: L2Normalize [I8, F32];
    add_n: AddN [I8];
    concat: Concat [ANY];
    transpose: Transpose [ANY];
    pad: Pad [ANY];
    slice: Slice [ANY];
    mean: Mean [I8, I16, F32];
    reduce: Reduce [PRODUCT_I8, PRODUCT_I16, F32, WHOLE];
    reshape: Reshape [];
    quantize: Quantize [F32_TO_I8, F32_TO_I16, RESCALE];
    dequantize: Dequantize [I8_TO_F32, I16_TO_F32];
    history: History [ANY, STARTED];
    variable: Variable [];
    assign: Assign [];
    svdf_features: SvdfFeatures [I8];
    svdf_time: SvdfTime [I16];
    lstm: Lstm [I8, F32];
    log_mel: LogMel [I16];
    gather: Gather [ANY];
    gather_elements: GatherElements [ANY];
    scatter: Scatter [ANY, F32];
    mat_mul: MatMul [I8, I16, F32];
    layer_norm: LayerNorm [I8, I16, F32];
    resample: Resample [I8, I16, F32];
    resample_2d: Resample2d [I8, I16, F32];
    cumulate: Cumulate [I8, I16, ANY];
    extreme: Extreme [ANY];
    top_k: TopK [ANY];
    nll: Nll [F32];
    conv_nd: ConvNd [F32];
    grid_sample: GridSample [F32];
    whole: WholeNumbers [ANY];
    compare: Compare [SCALED_I8, ANY];
    choose: Choose [ANY];
    cast: Cast [ANY];
    ngrams: Ngrams [F32];
    determinant: Determinant [F32];
    roi_align: RoiAlign [F32];
}

#[cfg(all(test, feature = "host"))]
mod tests {
    /// A file may say anything, and `clamp` panics where limits are crossed.
    #[test]
    fn crossed_limits_are_uncrossed() {
        let mut params = format::ParamsWriter::default();
        params.u8(5).u8(-7i8 as u8).u8(0).u8(9);
        let bytes = params.finish();
        let mut params = format::Params::new(&bytes);
        assert_eq!(super::limits_i8(&mut params), [5, 5]);
        assert_eq!(super::limits_i8(&mut params), [0, 9]);
    }
}
