#define GADFLY_NEON 1
#include "kernels/table.h"

namespace gadfly {

const Kernels& neon_kernels() {
    static constexpr Kernels kernels = kernels_named("neon");
    return kernels;
}

}  // namespace gadfly
