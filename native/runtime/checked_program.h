// A program that cannot reach outside its buffers, whatever is recorded and whatever the batch.
//
// Operands are checked when an instruction is recorded, a step's numbers before it runs; what is wrong throws
// std::invalid_argument and changes nothing.
#pragma once

#include <array>
#include <map>
#include <mutex>
#include <vector>

#include "runtime/experts.h"
#include "runtime/low_rank.h"
#include "runtime/mixture.h"

namespace gadfly {

class CheckedProgram {
  public:
    struct Factors {  // of a product: a buffer, and perhaps the residual of what it is the int8 form of
        size_t x;
        std::optional<size_t> rest;
    };

    explicit CheckedProgram(const Kernels& kernels) : program_(kernels) {}

    // The number of a new buffer; rows are float32, or int8 rows of Int8Row::bytes.
    size_t buffer(RowsOf rows, size_t row_bytes);

    // Instructions, in the order in which they run: see gadfly/ops/__init__.py. Whether one works on the rows of all
    // tokens or of those wanted, and how wide they are, is what its buffers say.
    void embed(const Matrix& table, size_t out);
    void rms_norm(size_t x, std::vector<float> weight, float eps, size_t out);
    void quantise(size_t x, size_t out);
    void residual(size_t x, size_t rounded, size_t out);
    void linear(size_t x, std::optional<size_t> rest, const Matrix& weight, size_t out);
    // Of an adapter, by its number in a step's strengths: see runtime/low_rank.h.
    void down(size_t x, const Matrix& matrix, size_t adapter, size_t out);
    void up(size_t x, const Matrix& matrix, size_t adapter, float scale, size_t out);
    void angles(std::vector<double> frequencies, double magnitude, size_t out);
    void rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out);
    void store(size_t k, size_t v, const Cache& cache, size_t layer);
    void attend(size_t q, const Cache& cache, size_t layer, size_t heads, Scoring scoring, size_t out);
    void gated(size_t gate, size_t up, Activation activation, size_t out);
    void add(size_t x, size_t y, size_t out);
    void shift(size_t x, std::vector<float> bias, size_t out);
    void scale(size_t x, float factor, size_t out);
    void softcap(size_t x, float cap, size_t out);
    void select(size_t x, size_t out);

    // A mixture of experts: see runtime/experts.h. A deal belongs to the program and the router that fill it first.
    void route(size_t logits, bool renormalised, const SharedDeal& deal);
    void deal(size_t x, const SharedDeal& deal, size_t out);
    void combine(size_t x, const SharedDeal& deal, size_t out);

    // Every expert's gate, up and down, in memory or in a store; those of a store have been fetched before, and are
    // multiplied with once. `precise` is whether downs are given residuals.
    void mixture(Factors gate, Factors up, std::array<std::vector<Matrix>, 3> matrices, bool precise,
                 Activation activation, const SharedDeal& deal, size_t out);
    void mixture(Factors gate, Factors up, std::vector<SharedStack> stacks, bool precise, Activation activation,
                 const SharedDeal& deal, size_t out);
    void fetch(const SharedDeal& deal, std::vector<SharedStack> stacks);  // all of a layer, together

    // Matrices of a store, all of a program together, in the order in which it multiplies with each of them once.
    void fetch_layers(std::vector<SharedStack> stacks);
    void stored_linear(size_t x, std::optional<size_t> rest, const SharedStack& stack, size_t out);

    // Bytes that a step takes for its buffers.
    size_t step_bytes(size_t tokens, size_t wanted) const { return program_.step_bytes(tokens, wanted); }

    // Checks what `run` is going to be called with; afterwards nothing more can be recorded. Returns the shape of the
    // result: rows and columns.
    struct Shape {
        size_t rows, columns;
    };
    Shape admit(const ThreadPool& pool, const Step& step, size_t result);

    // Runs an admitted step: `output` receives the result, row after row. Concurrent callers queue.
    // Throws UnreadableExpert if a file of the store could not be read; then the result means nothing.
    void run(ThreadPool& pool, const Step& step, size_t result, float* output);

    void profile() { program_.profile(); }
    std::vector<Cost> costs() const { return program_.costs(); }

  private:
    const Buffer& at(size_t buffer) const;
    size_t width(size_t buffer) const;
    void require_floats(size_t buffer, RowsOf rows, size_t width) const;
    void require_int8s(size_t buffer, RowsOf rows, size_t width) const;
    void require_factors(Factors factors, RowsOf rows, Layout layout, size_t columns, size_t parts) const;
    void add_mixture(Factors gate, Factors up, std::unique_ptr<Experts> experts, bool precise, Activation activation,
                     const SharedDeal& deal, size_t out);
    size_t hidden(size_t selected, size_t row_bytes, size_t number);
    void record(std::string name, std::unique_ptr<Instruction> instruction, const std::vector<size_t>& reads,
                size_t write);
    void record_in_place(std::string name, std::unique_ptr<Instruction> instruction, const std::vector<size_t>& reads,
                         size_t write);
    void remember(const Cache& cache);
    size_t number(const SharedDeal& deal) const;
    void note_fetched(const SharedDeal& deal, const std::vector<SharedStack>& stacks);

    Program program_;
    bool admitted_ = false;      // a step has been
    size_t vocab_ = SIZE_MAX;    // of the smallest table
    std::vector<Cache> caches_;  // that any instruction uses
    std::vector<SharedDeal> deals_;
    std::vector<std::pair<SharedDeal, SharedStack>> fetched_;  // not yet multiplied with; layers have no deal
    std::map<std::array<size_t, 3>, size_t> hidden_;           // buffers that mixtures take turns with
    SharedStore store_;                                        // of all stacks, if there are any
    std::mutex one_step_;
};

}  // namespace gadfly
