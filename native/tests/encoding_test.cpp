// Encoding: every format, from every source, with and without importance.
#include "tests/comparison.h"

namespace gadfly {
namespace {

constexpr size_t kRows = 19, kColumns = 512, kGroupColumns = 32;

// A matrix in each kind of source, some of it zeros or all alike.
struct Sources {
    std::vector<float> floats;
    std::vector<uint16_t> halves, bfloats, scales;
    std::vector<int8_t> codes;
    std::vector<float> importance;

    explicit Sources(Random& random)
        : floats(random.numbers(kRows * kColumns)),
          scales(kRows * kColumns / kGroupColumns),
          codes(random.integers<int8_t>(kRows * kColumns)),
          importance(random.numbers(kColumns)) {
        for (size_t i = 0; i < 2 * kColumns; i++) floats[i] = i < kColumns ? 0.0F : 0.37F;
        for (float& one : importance) one = one * one + 1e-6F;
        for (uint16_t& scale : scales) scale = random.bfloat();
        for (size_t i = 0; i < floats.size(); i++) {
            halves.push_back(random.half());
            bfloats.push_back(random.bfloat());
        }
    }

    const void* of(Source source) const {
        switch (source) {
            case Source::kFloat32: return floats.data();
            case Source::kFloat16: return halves.data();
            case Source::kBFloat16: return bfloats.data();
            case Source::kInt8: return codes.data();
        }
        return nullptr;
    }
};

// The block's bytes and, last, whether all weights were numbers that fit.
std::vector<uint8_t> encode(const Kernels& kernels, const Sources& sources, Format format, Source source,
                            bool important, size_t columns) {
    const BlockSize block = block_size(format);
    std::vector<uint8_t> out(kRows * kColumns / block.weights * block.bytes);
    std::vector<float> scratch(kEncodeRows * kEncodeColumns);
    bool fits = true;
    for (size_t first = 0; first + columns <= kColumns; first += columns) {
        EncodeTask task{};
        task.format = format;
        task.source = source;
        task.weights = static_cast<const std::byte*>(sources.of(source));
        task.scales = sources.scales.data();
        task.columns_in_group = kGroupColumns;
        task.matrix_rows = task.rows = kRows;
        task.matrix_columns = kColumns;
        task.first_column = first;
        task.columns = columns;
        task.importance = important ? sources.importance.data() : nullptr;
        task.out = out.data();
        task.row_bytes = kColumns / block.weights * block.bytes;
        task.scratch = scratch.data();
        fits = kernels.encode(task) && fits;
    }
    out.push_back(fits);
    return out;
}

void compare_encoding(Comparison& compare, Random& random) {
    Sources sources(random);
    for (int number = 0; number <= static_cast<int>(Format::kIQ4_XS); number++) {
        const auto format = static_cast<Format>(number);
        for (const Source source : {Source::kFloat32, Source::kFloat16, Source::kBFloat16, Source::kInt8}) {
            for (const bool important : {false, true}) {
                const size_t columns = block_size(format).weights == kEncodeColumns || important ? kEncodeColumns : 96;
                compare("format " + std::to_string(number) + " from source " +
                            std::to_string(static_cast<int>(source)) + (important ? ", important" : ""),
                        [&](const Kernels& kernels) {
                            return encode(kernels, sources, format, source, important, columns);
                        });
            }
        }
    }
    sources.floats[3 * kColumns + 5] = NAN;
    sources.floats[4 * kColumns + 6] = 1e30F;
    compare("no numbers", [&](const Kernels& kernels) {
        return encode(kernels, sources, Format::kQ4_K, Source::kFloat32, false, kEncodeColumns);
    });
}

}  // namespace
}  // namespace gadfly

int main() { return gadfly::compare_kernels("encoding", gadfly::compare_encoding); }
