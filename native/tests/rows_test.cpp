// What happens to rows of activations between products: norms, activations, roundings.
#include <algorithm>
#include <limits>

#include "tests/comparison.h"
#include "tests/int8_rows.h"

namespace gadfly {
namespace {

// Numbers of all sizes, and what is hardly a number.
std::vector<float> awkward_floats(Random& random, size_t count) {
    constexpr float kInf = INFINITY, kLeast = std::numeric_limits<float>::denorm_min(), kMost = 3.4028235e38F;
    constexpr float kSome[] = {0,    -0.0F, 0.5F,  -0.5F, 1.5F,  2.5F, 127,   kInf,  -kInf,  NAN,     -NAN,  kLeast,
                               1e30, -1e30, kMost, 88.1F, 87.9F, -87,  -87.5, -1000, 2.1e9F, -2.2e9F, 1e-30F};
    std::vector<float> made = random.numbers(count, 20);
    for (size_t i = 0; i < count; i++) {
        if (random.below(4) == 0) made[i] = kSome[random.below(std::size(kSome))];
        if (random.below(8) == 0) made[i] = std::bit_cast<float>(random.bits());
    }
    return made;
}

// Every half float, what lies next to it among floats, and what is half way to the next one.
std::vector<float> floats_around_halves() {
    std::vector<float> made;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        const float half = half_to_float(static_cast<uint16_t>(bits)),
                    next = half_to_float(static_cast<uint16_t>(bits + 1));
        const float middle = half + (next - half) / 2;
        for (const float x : {half, middle}) {
            made.insert(made.end(), {x, std::nextafter(x, INFINITY), std::nextafter(x, -INFINITY), x * 0.75F});
        }
    }
    return made;
}

void compare_rows(Comparison& compare, Random& random) {
    for (const size_t width : {5, 37, 64, 4096}) {
        const std::vector<float> x = awkward_floats(random, width), y = awkward_floats(random, width);
        const std::vector<float> tame = random.numbers(width, 5);
        const auto row = [&](const std::string& what, auto compute) {
            compare(what + ", width " + std::to_string(width), [&](const Kernels& kernels) {
                std::vector<float> out = tame;
                compute(kernels, out.data());
                return out;
            });
        };
        row("rms_norm", [&](const Kernels& k, float* out) { k.rms_norm(tame.data(), x.data(), 1e-5F, width, out); });
        row("silu", [&](const Kernels& k, float* out) { k.gated(x.data(), y.data(), width, Activation::kSilu, out); });
        row("gelu", [&](const Kernels& k, float* out) { k.gated(x.data(), y.data(), width, Activation::kGelu, out); });
        row("gelu_erf",
            [&](const Kernels& k, float* out) { k.gated(x.data(), y.data(), width, Activation::kGeluErf, out); });
        row("silu of ones",  // hence nothing but e^x
            [&](const Kernels& k, float* out) { k.gated(tame.data(), tame.data(), width, Activation::kSilu, out); });
        row("add", [&](const Kernels& k, float* out) { k.add(x.data(), y.data(), width, out); });
        row("scale", [&](const Kernels& k, float* out) { k.scale(x.data(), 0.37F, width, out); });
        row("softcap", [&](const Kernels& k, float* out) { k.softcap(x.data(), 30, width, out); });
        row("add_scaled", [&](const Kernels& k, float* out) { k.add_scaled(x.data(), -1.7F, width, out); });
    }
    for (const size_t dim : {24, 40}) {
        const std::vector<float> x = random.numbers(3 * 40), angles = random.numbers(40);
        compare("rope of " + std::to_string(dim), [&](const Kernels& kernels) {
            std::vector<float> out(x.size());
            kernels.rope(x.data(), angles.data(), angles.data() + 20, 3, 40, dim, out.data());
            return out;
        });
    }
}

void compare_roundings(Comparison& compare, Random& random) {
    constexpr size_t kWidth = 4096;
    const auto floats = floats_around_halves();
    const auto half = [&](const std::vector<float>& x) {
        return [&](const Kernels& kernels) {
            std::vector<uint16_t> out(x.size());
            kernels.to_half(x.data(), x.size(), out.data());
            return out;
        };
    };
    compare("to_half", half(floats));
    compare("to_half of anything", half(random.any_floats(kWidth)));
    for (int round = 0; round < 4; round++) {
        std::vector<float> x = round < 2 ? random.numbers(kWidth, 9) : awkward_floats(random, kWidth);
        if (round == 1) {  // codes half way between two
            for (size_t i = 0; i < kWidth; i++) x[i] = i % 16 == 0 ? 127.0F : std::round(x[i] * 12) + 0.5F;
        }
        compare("quantise", [&](const Kernels& kernels) {
            const Int8Rows rounded(kernels, x, kWidth);
            std::vector<uint32_t> words(rounded.memory.size());
            std::memcpy(words.data(), rounded.memory.data(), words.size() * sizeof(uint32_t));
            return words;
        });
        Int8Rows rounded(compare.portable, x, kWidth);
        compare("residual", [&](const Kernels& kernels) {
            std::vector<float> out(kWidth);
            kernels.residual(x.data(), rounded.at(0), kWidth, out.data());
            return out;
        });
        for (size_t first = 0; first < kWidth; first += 64) {
            compare("to_int8", [&](const Kernels& kernels) {
                int8_t codes[64];
                std::vector<float> out{kernels.to_int8(x.data() + first, 64, codes)};
                out.insert(out.end(), codes, codes + 64);
                return out;
            });
        }
    }
}

}  // namespace
}  // namespace gadfly

int main() {
    return gadfly::compare_kernels("rows", [](auto& compare, auto& random) {
        gadfly::compare_rows(compare, random);
        gadfly::compare_roundings(compare, random);
    });
}
