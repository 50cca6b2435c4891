// The paged key/value cache: one pool of pages for all layers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <new>

#include "formats/size.h"
#include "kernels/kernels.h"

namespace gadfly {

// A page of a layer holds the keys of every key/value head, then the values of every head (see HeadPage). Memory is
// zero and untouched until used, so an unused page costs nothing.
class PagedCache {
  public:
    // Nothing may be zero; page_size is a multiple of 16, head_dim of 8. Throws std::bad_alloc.
    PagedCache(size_t layers, size_t pages, size_t page_size, size_t kv_heads, size_t head_dim, Values kind)
        : layers_(layers), pages_(pages), page_size_(page_size), kv_heads_(kv_heads), head_dim_(head_dim), kind_(kind) {
        product({kv_heads, sum(head_dim, 4), page_size, 4});  // at least page_stride()
        data_.reset(static_cast<std::byte*>(std::calloc(sum(product({layers, pages, page_stride()}), kSlack), 1)));
        if (!data_) throw std::bad_alloc();
    }

    size_t layers() const { return layers_; }
    size_t pages() const { return pages_; }
    size_t page_size() const { return page_size_; }
    size_t kv_heads() const { return kv_heads_; }
    size_t head_dim() const { return head_dim_; }
    Values kind() const { return kind_; }  // of the values
    size_t bytes() const { return layers_ * pages_ * page_stride(); }
    size_t page_stride() const { return kv_heads_ * (key_bytes() + value_bytes()); }  // of one layer

    std::byte* keys(size_t layer, size_t page, size_t head) {
        return data_.get() + (layer * pages_ + page) * page_stride() + head * key_bytes();
    }
    std::byte* values(size_t layer, size_t page, size_t head) {
        return keys(layer, page, kv_heads_) + head * value_bytes();
    }

    // Stores one position of one layer; k and v are (kv_heads · head_dim).
    void store(const Kernels& kernels, size_t layer, size_t page, size_t slot, const float* k, const float* v) {
        for (size_t head = 0; head < kv_heads_; head++, k += head_dim_, v += head_dim_) {
            auto* column = reinterpret_cast<uint16_t*>(keys(layer, page, head)) + slot;
            uint16_t halves[64];
            for (size_t d = 0; d < head_dim_; d += std::size(halves)) {
                const size_t count = std::min(std::size(halves), head_dim_ - d);
                kernels.to_half(k + d, count, halves);
                for (size_t i = 0; i < count; i++, column += page_size_) *column = halves[i];
            }
            std::byte* own = values(layer, page, head);
            if (kind_ == Values::kHalf) {
                kernels.to_half(v, head_dim_, reinterpret_cast<uint16_t*>(own) + slot * head_dim_);
            } else {
                auto* scales = reinterpret_cast<float*>(own + head_dim_ * page_size_);
                scales[slot] = kernels.to_int8(v, head_dim_, reinterpret_cast<int8_t*>(own) + slot * head_dim_);
            }
        }
    }

  private:
    static constexpr size_t kSlack = 64;  // kernels read values by sixteen and may look past the last one

    size_t key_bytes() const { return HeadPage::key_bytes(head_dim_, page_size_); }
    size_t value_bytes() const { return HeadPage::value_bytes(kind_, head_dim_, page_size_); }

    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    size_t layers_, pages_, page_size_, kv_heads_, head_dim_;
    Values kind_;
    std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace gadfly
