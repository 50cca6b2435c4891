// The feed-forward of a mixture of experts as one instruction: every expert's dealt rows meet its three matrices, a
// block of rows at a time.
//
//     H    gate and up of a block and a stretch of hidden columns, activated and rounded for what comes next
//     D    down, of a block and a stretch of its results
//     in the order  H0  H1 D0  H2 D1  H3 D2  …  of blocks, several of each for every thread
//
// Hidden rows are wide and there are many, so few blocks have theirs at a time. An expert is done with before the next
// but one is begun, which is what one on disk wants. Whoever is free takes the next task, and waits for earlier ones
// alone, which others have taken: nobody waits for who has not begun.
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "runtime/experts.h"

namespace gadfly {

// The matrices of all experts of a layer: gate, up and down.
class Experts {
  public:
    struct Shape {
        Layout layout;
        size_t rows, columns;
    };
    explicit Experts(std::array<Shape, 3> shapes) : shapes_(shapes) {}
    virtual ~Experts() = default;

    const Shape& gate() const { return shapes_[0]; }
    const Shape& up() const { return shapes_[1]; }
    const Shape& down() const { return shapes_[2]; }
    // One of them, packed; null if it cannot be read.
    virtual const std::byte* packed(size_t which, const Deal::Block& of) const noexcept = 0;
    virtual void finish(const Deal::Block&) const noexcept {}  // all of the expert has been computed

  private:
    std::array<Shape, 3> shapes_;
};
std::unique_ptr<Experts> resident_experts(std::array<std::vector<Matrix>, 3> matrices);
std::unique_ptr<Experts> stored_experts(std::vector<SharedStack> stacks);  // `fetch` has run before

// Dealt rows, and perhaps the residual of what they are the int8 form of.
struct Dealt {
    size_t x;
    std::optional<size_t> rest;
    size_t row_bytes;
};

// Blocks whose hidden rows exist at a time, and how many tokens have as many rows as that.
constexpr size_t kHiddenBlocks = 3;
constexpr size_t hidden_tokens(size_t selected) { return (kHiddenBlocks * Deal::kBlock + selected - 1) / selected; }

// Buffers for hidden rows: `selected` per token, of no more than those; the second if down is given residuals.
struct Hidden {
    size_t x;
    std::optional<size_t> rest;
    size_t row_bytes;
};

std::unique_ptr<Instruction> make_mixture(Dealt gate, Dealt up, std::unique_ptr<Experts> experts, Activation activation,
                                          SharedDeal deal, Hidden hidden, size_t out);

}  // namespace gadfly
