// Sizes of memory, computed so that none wraps around: what does not fit is std::bad_alloc, as nobody has that much.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <new>

namespace gadfly {

constexpr size_t kCacheLine = 64;

inline size_t sum(size_t a, size_t b) {
    if (__builtin_add_overflow(a, b, &a)) throw std::bad_alloc();
    return a;
}

inline size_t product(std::initializer_list<size_t> factors) {
    size_t all = 1;
    for (const size_t factor : factors) {
        if (__builtin_mul_overflow(all, factor, &all)) throw std::bad_alloc();
    }
    return all;
}

// `bytes` rounded up.
inline size_t whole_lines(size_t bytes) { return sum(bytes, kCacheLine - 1) / kCacheLine * kCacheLine; }

}  // namespace gadfly
