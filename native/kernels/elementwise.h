// What happens to one token's activations between matrix products. Widths need not be multiples of eight unless said.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simd.h"

namespace gadfly {
namespace {

// Calls f(vector, first) for full vectors of [0, width) and once for a rest padded with zeros; f returns what to store.
template <class F>
inline void map(size_t width, float* out, F f) {
    size_t i = 0;
    for (; i + kLanes <= width; i += kLanes) store(out + i, f([i](const float* p) { return load(p + i); }));
    if (i == width) return;
    const size_t rest = width - i;
    const auto load_rest = [i, rest](const float* p) {
        float lanes[kLanes] = {};
        std::memcpy(lanes, p + i, rest * sizeof(float));
        return load(lanes);
    };
    float lanes[kLanes];
    store(lanes, f(load_rest));
    std::memcpy(out + i, lanes, rest * sizeof(float));
}

void add_rows(const float* x, const float* y, size_t width, float* out) {
    map(width, out, [=](auto at) { return add(at(x), at(y)); });
}

void scale_row(const float* x, float factor, size_t width, float* out) {
    map(width, out, [=](auto at) { return mul(at(x), splat(factor)); });
}

void softcap_row(const float* x, float cap, size_t width, float* out) {
    map(width, out, [=](auto at) { return softcapped(at(x), cap); });
}

void add_scaled(const float* x, float factor, size_t width, float* out) {
    map(width, out, [=](auto at) { return fma(at(x), splat(factor), at(out)); });
}

void rms_norm(const float* x, const float* weight, float eps, size_t width, float* out) {
    f32x8 squares = splat(0);
    size_t i = 0;
    for (; i + kLanes <= width; i += kLanes) squares = fma(load(x + i), load(x + i), squares);
    float total = sum(squares);
    for (; i < width; i++) total += x[i] * x[i];
    const f32x8 factor = splat(1.0F / std::sqrt(total / static_cast<float>(width) + eps));
    map(width, out, [=](auto at) { return mul(at(weight), mul(at(x), factor)); });
}

void gated(const float* gate, const float* up, size_t width, Activation activation, float* out) {
    const f32x8 zero = splat(0), one = splat(1.0F);
    switch (activation) {
        case Activation::kSilu:
            return map(width, out, [=](auto at) {
                const f32x8 g = at(gate);
                return mul(div(g, add(one, exp(sub(zero, g)))), at(up));
            });
        case Activation::kGelu:  // ½ g (1 + tanh u) = g / (1 + e^-2u), u = √(2/π) (g + 0.044715 g³)
            return map(width, out, [=](auto at) {
                const f32x8 g = at(gate);
                const f32x8 inner = mul(splat(-1.59576912160573071F), fma(mul(mul(g, g), g), splat(0.044715F), g));
                return mul(div(g, add(one, exp(inner))), at(up));
            });
        case Activation::kGeluErf:  // ½ g (1 + erf(g / √2)), which is g less |g| times the tail where g is positive
            return map(width, out, [=](auto at) {
                const f32x8 g = at(gate), size = abs(g);
                return mul(sub(max(g, zero), mul(size, normal_tail(size))), at(up));
            });
    }
}

// What values up to `largest` are multiplied with to become codes up to 127; zero where that would overflow.
inline float codes_per_unit(float largest) { return largest > 1e-36F ? 127.0F / largest : 0.0F; }

// Values that are infinite or no number make NaN of all that share their scale, lest they pass for small numbers.
void quantise(const float* x, size_t width, Int8Row out) {
    for (size_t group = 0; group < width / kGroup; group++) {
        const f32x8 a = load(x + group * kGroup), b = load(x + group * kGroup + kLanes);
        const float largest = max_lane(max(abs(a), abs(b)));
        const f32x8 unit = splat(codes_per_unit(largest));
        const i32x8 code_a = round_to_int(mul(a, unit)), code_b = round_to_int(mul(b, unit));
        int8_t* codes = out.codes + group * kGroup;
        store_int8(codes, code_a);
        store_int8(codes + kLanes, code_b);
        const bool finite = !any_nan(add(sub(a, a), sub(b, b)));
        const auto [even, odd] = finite ? pair_sums(add(code_a, code_b)) : PairSums{0, 0};
        Int8Row::Tile& tile = out.tiles[group / 2];
        const size_t half = group % 2;
        tile.scale[half] = finite ? largest / 127.0F : NAN;
        tile.sum[half] = tile.scale[half] * static_cast<float>(even + odd);
        tile.total = half == 0 ? tile.sum[0] : tile.sum[0] + tile.sum[1];
        tile.bias[half] = -128 * (even + odd);
        tile.pairs[half][0] = static_cast<int16_t>(-32 * even);
        tile.pairs[half][1] = static_cast<int16_t>(-32 * odd);
    }
}

void rope(const float* x, const float* cos, const float* sin, size_t heads, size_t head_dim, size_t dim, float* out) {
    const size_t half = dim / 2;
    for (size_t h = 0; h < heads; h++, x += head_dim, out += head_dim) {
        map(half, out, [=](auto at) { return fma(at(x), at(cos), sub(splat(0), mul(at(x + half), at(sin)))); });
        map(half, out + half, [=](auto at) { return fma(at(x + half), at(cos), mul(at(x), at(sin))); });
        for (size_t i = dim; i < head_dim; i++) out[i] = x[i];
    }
}

void residual(const float* x, Int8Row rounded, size_t width, float* out) {
    for (size_t i = 0; i < width; i += kLanes) {
        const f32x8 known = mul(load(rounded.codes + i), splat(rounded.tiles[i / kTile].scale[i / kGroup % 2]));
        store(out + i, sub(load(x + i), known));
    }
}

void to_half(const float* x, size_t width, uint16_t* out) {
    for (size_t i = 0; i < width; i += kLanes) store_half(out + i, load(x + i));
}

float to_int8(const float* x, size_t width, int8_t* codes) {
    f32x8 largest = splat(0), zero = splat(0);
    for (size_t i = 0; i < width; i += kLanes) {
        largest = max(abs(load(x + i)), largest);
        zero = add(zero, sub(load(x + i), load(x + i)));
    }
    const float top = max_lane(largest);
    const f32x8 unit = splat(codes_per_unit(top));
    for (size_t i = 0; i < width; i += kLanes) store_int8(codes + i, round_to_int(mul(load(x + i), unit)));
    return any_nan(zero) ? NAN : top / 127.0F;
}

}  // namespace
}  // namespace gadfly
