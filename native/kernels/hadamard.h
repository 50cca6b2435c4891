// A rotation that spreads what is large in one component over all of a head, so that one scale suits them: products of
// two vectors that are both rotated stay what they are, times hadamard_block (QuaRot, arXiv 2404.00456).
#pragma once

#include "kernels/kernels.h"

namespace gadfly {
namespace {

void hadamard(float* x, size_t head_dim) {
    const size_t block = hadamard_block(head_dim);
    for (size_t reach = 1; reach < block; reach *= 2) {
        for (size_t first = 0; first < head_dim; first += 2 * reach) {
            for (size_t i = first; i < first + reach; i++) {
                const float a = x[i], b = x[i + reach];
                x[i] = a + b;
                x[i + reach] = a - b;
            }
        }
    }
}

}  // namespace
}  // namespace gadfly
