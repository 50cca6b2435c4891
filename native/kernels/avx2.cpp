#include "kernels/table.h"

namespace gadfly {

const Kernels& avx2_kernels() {
    static constexpr Kernels kernels = kernels_named("avx2");
    return kernels;
}

}  // namespace gadfly
