// How the strips of a matrix are divided into units: stretches of neighbours, several per thread, so that whoever is
// done early finds something to take over.
#pragma once

#include <algorithm>
#include <cstddef>

namespace gadfly {

class Stretches {
  public:
    Stretches(size_t strips, size_t threads) : strips_(strips) {
        // Kernels are faster at four strips, or two, than at one. Small matrices are rather divided evenly.
        while (together_ > 1 && strips < 4 * together_ * threads) together_ /= 2;
        bundles_ = (strips + together_ - 1) / together_;
        count_ = std::min(bundles_, 8 * threads);
    }

    size_t count() const { return count_; }
    size_t first(size_t stretch) const { return std::min(stretch * bundles_ / count_ * together_, strips_); }
    size_t last(size_t stretch) const { return first(stretch + 1); }

  private:
    size_t strips_, together_ = 4, bundles_, count_;
};

}  // namespace gadfly
