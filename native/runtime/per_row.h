// Instructions whose work is the same independent thing for every row, and chains of them.
//
// What one leaves in a row is all that the next one of a chain reads, so a chain takes a row from end to end while it
// is in the cache, and nobody waits in between.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "runtime/program.h"

namespace gadfly {

// Where in a chain an instruction may stand: one that reads other rows begins it, one that writes others is alone.
enum class Place : uint8_t { kAnywhere, kFirst, kAlone };

class RowWise : public Instruction {
  public:
    RowWise(RowsOf rows, Place place) : rows_(rows), place_(place) {}

    RowsOf rows() const { return rows_; }
    Place place() const { return place_; }
    virtual void run_row(const Context&, size_t row) const noexcept = 0;

    size_t units(const Step& step, size_t threads) const final { return std::min(step.rows(rows_), 4 * threads); }
    void run(const Context& c, size_t unit) const noexcept final {  // a unit is a stretch of rows
        const size_t rows = c.step.rows(rows_), all = units(c.step, c.threads);
        for (size_t row = unit * rows / all; row < (unit + 1) * rows / all; row++) run_row(c, row);
    }

  private:
    RowsOf rows_;
    Place place_;
};

template <class Compute>
class PerRow final : public RowWise {
  public:
    PerRow(RowsOf rows, Place place, Compute compute, size_t scratch_bytes)
        : RowWise(rows, place), compute_(std::move(compute)), scratch_bytes_(scratch_bytes) {}

    size_t scratch_bytes() const override { return scratch_bytes_; }
    void run_row(const Context& c, size_t row) const noexcept override { compute_(c, row); }

  private:
    Compute compute_;
    size_t scratch_bytes_;
};

// Calls compute(context, row) for every row.
template <class Compute>
std::unique_ptr<Instruction> per_row(RowsOf rows, Compute compute, size_t scratch_bytes = 0,
                                     Place place = Place::kAnywhere) {
    return std::make_unique<PerRow<Compute>>(rows, place, std::move(compute), scratch_bytes);
}

class Chain final : public RowWise {
  public:
    explicit Chain(std::unique_ptr<RowWise> first) : RowWise(first->rows(), first->place()) {
        links_.push_back(std::move(first));
    }

    bool takes(const RowWise& next) const {
        return place() != Place::kAlone && next.place() == Place::kAnywhere && next.rows() == rows();
    }
    void append(std::unique_ptr<RowWise> next) { links_.push_back(std::move(next)); }

    size_t scratch_bytes() const override {
        size_t most = 0;
        for (const auto& link : links_) most = std::max(most, link->scratch_bytes());
        return most;
    }
    void run_row(const Context& c, size_t row) const noexcept override {
        for (const auto& link : links_) link->run_row(c, row);
    }

  private:
    std::vector<std::unique_ptr<RowWise>> links_;
};

}  // namespace gadfly
