// The paged key/value cache: half floats, one pool of pages for all layers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "kernels/kernels.h"

namespace gadfly {

// Page p of layer l holds, per key/value head, keys as [head_dim][slot] and values as [slot][head_dim]. Memory is zero
// and untouched until used, so an unused page costs nothing.
class PagedCache {
  public:
    PagedCache(size_t layers, size_t pages, size_t page_size, size_t kv_heads, size_t head_dim)
        : pages_(pages), page_size_(page_size), kv_heads_(kv_heads), head_dim_(head_dim) {
        data_.reset(static_cast<uint16_t*>(std::calloc(layers * pages * page_stride(), sizeof(uint16_t))));
        if (!data_) throw std::bad_alloc();
    }

    size_t pages() const { return pages_; }
    size_t page_size() const { return page_size_; }
    size_t kv_heads() const { return kv_heads_; }
    size_t head_dim() const { return head_dim_; }
    size_t page_stride() const { return 2 * kv_heads_ * head_stride(); }  // elements of one page of one layer

    uint16_t* keys(size_t layer, size_t page, size_t head) {
        return data_.get() + (layer * pages_ + page) * page_stride() + head * head_stride();
    }
    uint16_t* values(size_t layer, size_t page, size_t head) { return keys(layer, page, kv_heads_ + head); }

    // Stores one position of one layer; k and v are (kv_heads · head_dim).
    void store(const Kernels& kernels, size_t layer, size_t page, size_t slot, const float* k, const float* v,
               uint16_t* scratch) {
        for (size_t head = 0; head < kv_heads_; head++, k += head_dim_, v += head_dim_) {
            kernels.to_half(k, head_dim_, scratch);
            uint16_t* column = keys(layer, page, head) + slot;
            for (size_t d = 0; d < head_dim_; d++) column[d * page_size_] = scratch[d];
            kernels.to_half(v, head_dim_, values(layer, page, head) + slot * head_dim_);
        }
    }

  private:
    size_t head_stride() const { return head_dim_ * page_size_; }

    struct Free {
        void operator()(uint16_t* p) const { std::free(p); }
    };
    size_t pages_, page_size_, kv_heads_, head_dim_;
    std::unique_ptr<uint16_t[], Free> data_;
};

}  // namespace gadfly
