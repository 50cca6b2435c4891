// The instructions of a program: one per op of gadfly/ops/__init__.py, plus what native code needs in between.
//
// Numbers like `x` and `out` are buffers; what they have to look like is what CheckedProgram checks.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "formats/tiles.h"
#include "runtime/cache.h"
#include "runtime/program.h"

namespace gadfly {

using Matrix = std::shared_ptr<const PackedMatrix>;
using Cache = std::shared_ptr<PagedCache>;

std::unique_ptr<Instruction> make_embed(Matrix table, size_t out);
// Of each stretch of x that is as wide as the weight.
std::unique_ptr<Instruction> make_rms_norm(RowsOf rows, size_t x, size_t width, std::vector<float> weight, float eps,
                                           size_t out);
std::unique_ptr<Instruction> make_quantise(RowsOf rows, size_t x, size_t width, size_t out);
// x minus what its int8 form `rounded` stands for, as int8 again.
std::unique_ptr<Instruction> make_residual(RowsOf rows, size_t x, size_t rounded, size_t width, size_t out);
// `rest`, if there is one, is the residual of what x is the int8 form of.
std::unique_ptr<Instruction> make_linear(RowsOf rows, size_t x, std::optional<size_t> rest, Matrix weight, size_t out);
// magnitude times the cosines, then the sines, of position · frequency: frequencies.size() of each per token.
std::unique_ptr<Instruction> make_angles(std::vector<double> frequencies, double magnitude, size_t out);
std::unique_ptr<Instruction> make_rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out);
std::unique_ptr<Instruction> make_store(size_t k, size_t v, Cache cache, size_t layer);
// What becomes of a dot product on its way to a score, and who sees whom: gadfly/spec.py, Attention. Zero: without.
struct Scoring {
    float scale, softcap;
    size_t temperature, window;
};
std::unique_ptr<Instruction> make_attend(size_t q, Cache cache, size_t layer, size_t heads, Scoring scoring,
                                         size_t out);
std::unique_ptr<Instruction> make_gated(RowsOf rows, size_t gate, size_t up, size_t width, Activation kind, size_t out);
std::unique_ptr<Instruction> make_add(RowsOf rows, size_t x, size_t y, size_t width, size_t out);
std::unique_ptr<Instruction> make_shift(RowsOf rows, size_t x, std::vector<float> bias, size_t out);
std::unique_ptr<Instruction> make_softcap(RowsOf rows, size_t x, float cap, size_t width, size_t out);
std::unique_ptr<Instruction> make_scale(RowsOf rows, size_t x, float factor, size_t width, size_t out);
std::unique_ptr<Instruction> make_select(size_t x, size_t width, size_t out);

}  // namespace gadfly
