// How what callers may get wrong is refused.
#pragma once

#include <stdexcept>

namespace gadfly {

inline void require(bool condition, const char* message) {
    if (!condition) throw std::invalid_argument(message);
}

}  // namespace gadfly
