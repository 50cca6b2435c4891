// Included once per instruction set: gathers the kernels of its translation unit.
#pragma once

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/encode.h"
#include "kernels/exercise.h"
#include "kernels/linear.h"

namespace gadfly {
namespace {

constexpr Kernels kernels_named(std::string_view name) {
    return {name,        linear,     add_linear, quantise, rms_norm, rope,   gated,    add_rows, scale_row,
            softcap_row, add_scaled, to_half,    to_int8,  residual, attend, conclude, encode,   exercise};
}

}  // namespace
}  // namespace gadfly
