// Rows of activations as int8, in memory of their own.
#pragma once

#include <cstddef>
#include <vector>

#include "kernels/kernels.h"

namespace gadfly {

struct Int8Rows {
    size_t width, count;
    std::vector<float> memory;

    Int8Rows(size_t width_of, size_t count_of)
        : width(width_of), count(count_of), memory(count * Int8Row::bytes(width) / sizeof(float)) {}
    Int8Rows(const Kernels& kernels, const std::vector<float>& x, size_t width_of)
        : Int8Rows(width_of, x.size() / width_of) {
        for (size_t row = 0; row < count; row++) kernels.quantise(x.data() + row * width, width, at(row));
    }
    Rows rows() { return {reinterpret_cast<std::byte*>(memory.data()), Int8Row::bytes(width)}; }
    Int8Row at(size_t row) { return rows().int8s(row, width); }
};

}  // namespace gadfly
