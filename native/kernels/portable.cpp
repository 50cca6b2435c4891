#include "kernels/table.h"

namespace gadfly {

const Kernels& portable_kernels() {
    static constexpr Kernels kernels = kernels_named("portable");
    return kernels;
}

}  // namespace gadfly
