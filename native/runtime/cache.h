// The paged key/value cache: one pool of pages for all layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "formats/size.h"
#include "kernels/kernels.h"

namespace gadfly {

// A page of a layer holds the keys of every key/value head, then the values of every head (see HeadPage). Memory is
// zero and untouched until used, so an unused page costs nothing.
class PagedCache {
  public:
    // Nothing may be zero; page_size is a multiple of 16, head_dim of 8. Throws std::bad_alloc.
    PagedCache(size_t layers, size_t pages, size_t page_size, size_t kv_heads, size_t head_dim, CacheType type)
        : layers_(layers), pages_(pages), page_size_(page_size), kv_heads_(kv_heads), head_dim_(head_dim), type_(type) {
        product({kv_heads, sum(head_dim, 4), page_size, 4});  // at least page_stride()
        data_.reset(static_cast<std::byte*>(std::calloc(sum(product({layers, pages, page_stride()}), kSlack), 1)));
        if (!data_) throw std::bad_alloc();
    }

    size_t layers() const { return layers_; }
    size_t pages() const { return pages_; }
    size_t page_size() const { return page_size_; }
    size_t kv_heads() const { return kv_heads_; }
    size_t head_dim() const { return head_dim_; }
    CacheType type() const { return type_; }
    size_t bytes() const { return layers_ * pages_ * page_stride(); }
    size_t page_stride() const { return 2 * kv_heads_ * head_bytes(); }  // of one layer

    std::byte* keys(size_t layer, size_t page, size_t head) {
        return data_.get() + (layer * pages_ + page) * page_stride() + head * head_bytes();
    }
    std::byte* values(size_t layer, size_t page, size_t head) { return keys(layer, page, kv_heads_ + head); }

    // Stores one position of one layer; k and v are (kv_heads · head_dim).
    void store(const Kernels& kernels, size_t layer, size_t page, size_t slot, const float* k, const float* v) {
        const bool half = type_ == CacheType::kHalf;
        std::vector<uint16_t> halves(half ? head_dim_ : 0);
        std::vector<float> rotated(half ? 0 : head_dim_);
        std::vector<int8_t> codes(half ? 0 : head_dim_);
        for (size_t head = 0; head < kv_heads_; head++, k += head_dim_, v += head_dim_) {
            std::byte *key = keys(layer, page, head), *value = values(layer, page, head);
            if (half) {
                kernels.to_half(k, head_dim_, halves.data());
                scatter(halves, reinterpret_cast<uint16_t*>(key) + slot);
                kernels.to_half(v, head_dim_, reinterpret_cast<uint16_t*>(value) + slot * head_dim_);
            } else {
                rotated.assign(k, k + head_dim_);
                kernels.hadamard(rotated.data(), head_dim_);
                scales_of(key)[slot] = kernels.to_int8(rotated.data(), head_dim_, codes.data());
                scatter(codes, reinterpret_cast<int8_t*>(key) + slot);
                auto* own = reinterpret_cast<int8_t*>(value) + slot * head_dim_;
                scales_of(value)[slot] = kernels.to_int8(v, head_dim_, own);
            }
        }
    }

  private:
    static constexpr size_t kSlack = 64;  // kernels read values by sixteen and may look past the last one

    size_t head_bytes() const { return HeadPage::bytes(type_, head_dim_, page_size_); }
    float* scales_of(std::byte* codes) const { return reinterpret_cast<float*>(codes + head_dim_ * page_size_); }
    template <class Number>
    void scatter(const std::vector<Number>& key, Number* column) const {
        for (const Number number : key) {
            *column = number;
            column += page_size_;
        }
    }

    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    size_t layers_, pages_, page_size_, kv_heads_, head_dim_;
    CacheType type_;
    std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace gadfly
