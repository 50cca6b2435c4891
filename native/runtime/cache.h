// The paged key/value cache: one pool of pages for all layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels/kernels.h"

namespace gadfly {

// A page of a layer holds the keys of every key/value head, then the values of every head (see HeadPage). Memory is
// zero and untouched until used, so an unused page costs nothing.
class PagedCache {
  public:
    PagedCache(size_t layers, size_t pages, size_t page_size, size_t kv_heads, size_t head_dim)
        : pages_(pages), page_size_(page_size), kv_heads_(kv_heads), head_dim_(head_dim) {
        data_.reset(static_cast<std::byte*>(std::calloc(layers * pages, page_stride())));
        if (!data_) throw std::bad_alloc();
    }

    size_t pages() const { return pages_; }
    size_t page_size() const { return page_size_; }
    size_t kv_heads() const { return kv_heads_; }
    size_t head_dim() const { return head_dim_; }
    size_t page_stride() const { return kv_heads_ * (key_bytes() + value_bytes()); }  // of one layer

    std::byte* keys(size_t layer, size_t page, size_t head) {
        return data_.get() + (layer * pages_ + page) * page_stride() + head * key_bytes();
    }
    std::byte* values(size_t layer, size_t page, size_t head) {
        return keys(layer, page, kv_heads_) + head * value_bytes();
    }

    // Stores one position of one layer; k and v are (kv_heads · head_dim). scratch has room for a head.
    void store(const Kernels& kernels, size_t layer, size_t page, size_t slot, const float* k, const float* v,
               uint16_t* scratch) {
        for (size_t head = 0; head < kv_heads_; head++, k += head_dim_, v += head_dim_) {
            kernels.to_half(k, head_dim_, scratch);
            auto* column = reinterpret_cast<uint16_t*>(keys(layer, page, head)) + slot;
            for (size_t d = 0; d < head_dim_; d++) column[d * page_size_] = scratch[d];
            std::byte* codes = values(layer, page, head);
            auto* scales = reinterpret_cast<float*>(codes + head_dim_ * page_size_);
            scales[slot] = kernels.to_int8(v, head_dim_, reinterpret_cast<int8_t*>(codes) + slot * head_dim_);
        }
    }

  private:
    size_t key_bytes() const { return HeadPage::key_bytes(head_dim_, page_size_); }
    size_t value_bytes() const { return HeadPage::value_bytes(head_dim_, page_size_); }

    struct Free {
        void operator()(std::byte* p) const { std::free(p); }
    };
    size_t pages_, page_size_, kv_heads_, head_dim_;
    std::unique_ptr<std::byte[], Free> data_;
};

}  // namespace gadfly
