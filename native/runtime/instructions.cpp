#include "runtime/instructions.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "formats/size.h"
#include "runtime/per_row.h"
#include "runtime/stretches.h"

namespace gadfly {
namespace {

// A unit is a stretch of the weight's strips and a block of tokens.
class Linear final : public Instruction {
  public:
    Linear(RowsOf rows, size_t x, std::optional<size_t> rest, Matrix weight, size_t out)
        : rows_(rows), x_(x), rest_(rest), weight_(std::move(weight)), out_(out) {}

    size_t units(const Step& step, size_t threads) const override {
        return (step.rows(rows_) + kTokens - 1) / kTokens * Stretches(weight_->strips(), threads).count();
    }
    void run(const Context& c, size_t unit) const noexcept override {
        const Stretches stretches(weight_->strips(), c.threads);
        const size_t block = unit / stretches.count(), stretch = unit % stretches.count();
        const size_t begin = block * kTokens, end = std::min(begin + kTokens, c.step.rows(rows_));
        c.kernels.linear(*weight_, c.buffers[x_], rest_ ? c.buffers[*rest_] : Rows{}, begin, end,
                         stretches.first(stretch), stretches.last(stretch), c.buffers[out_]);
    }

  private:
    static constexpr size_t kTokens = 96;  // activations of a block stay in the second-level cache

    RowsOf rows_;
    size_t x_;
    std::optional<size_t> rest_;
    Matrix weight_;
    size_t out_;
};

}  // namespace

std::unique_ptr<Instruction> make_embed(Matrix table, size_t out) {
    return per_row(RowsOf::kTokens, [table = std::move(table), out](const Context& c, size_t row) {
        table->row(static_cast<size_t>(c.step.tokens[row]), c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_rms_norm(RowsOf rows, size_t x, size_t width, std::vector<float> weight, float eps,
                                           size_t out) {
    return per_row(rows, [x, width, weight = std::move(weight), eps, out](const Context& c, size_t row) {
        const float* from = c.buffers[x].floats(row);
        float* to = c.buffers[out].floats(row);
        for (size_t i = 0; i < width; i += weight.size()) {
            c.kernels.rms_norm(from + i, weight.data(), eps, weight.size(), to + i);
        }
    });
}

std::unique_ptr<Instruction> make_quantise(RowsOf rows, size_t x, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.quantise(c.buffers[x].floats(row), width, c.buffers[out].int8s(row, width));
    });
}

std::unique_ptr<Instruction> make_residual(RowsOf rows, size_t x, size_t rounded, size_t width, size_t out) {
    const auto residual = [=](const Context& c, size_t row) {
        auto* rest = reinterpret_cast<float*>(c.scratch);
        c.kernels.residual(c.buffers[x].floats(row), c.buffers[rounded].int8s(row, width), width, rest);
        c.kernels.quantise(rest, width, c.buffers[out].int8s(row, width));
    };
    return per_row(rows, residual, product({width, sizeof(float)}));
}

std::unique_ptr<Instruction> make_linear(RowsOf rows, size_t x, std::optional<size_t> rest, Matrix weight, size_t out) {
    return std::make_unique<Linear>(rows, x, rest, std::move(weight), out);
}

std::unique_ptr<Instruction> make_angles(std::vector<double> frequencies, double magnitude, size_t out) {
    const auto angles = [frequencies = std::move(frequencies), magnitude, out](const Context& c, size_t row) {
        float* cos = c.buffers[out].floats(row);
        float* sin = cos + frequencies.size();
        for (size_t j = 0; j < frequencies.size(); j++) {
            const double angle = c.step.positions[row] * frequencies[j];
            cos[j] = static_cast<float>(magnitude * std::cos(angle));
            sin[j] = static_cast<float>(magnitude * std::sin(angle));
        }
    };
    return per_row(RowsOf::kTokens, angles);
}

std::unique_ptr<Instruction> make_rope(size_t x, size_t angles, size_t heads, size_t head_dim, size_t dim, size_t out) {
    return per_row(RowsOf::kTokens, [=](const Context& c, size_t row) {
        const float* cos = c.buffers[angles].floats(row);
        c.kernels.rope(c.buffers[x].floats(row), cos, cos + dim / 2, heads, head_dim, dim, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_gated(RowsOf rows, size_t gate, size_t up, size_t width, Activation kind,
                                        size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.gated(c.buffers[gate].floats(row), c.buffers[up].floats(row), width, kind,
                        c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_add(RowsOf rows, size_t x, size_t y, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.add(c.buffers[x].floats(row), c.buffers[y].floats(row), width, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_shift(RowsOf rows, size_t x, std::vector<float> bias, size_t out) {
    return per_row(rows, [x, bias = std::move(bias), out](const Context& c, size_t row) {
        c.kernels.add(c.buffers[x].floats(row), bias.data(), bias.size(), c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_softcap(RowsOf rows, size_t x, float cap, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.softcap(c.buffers[x].floats(row), cap, width, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_scale(RowsOf rows, size_t x, float factor, size_t width, size_t out) {
    return per_row(rows, [=](const Context& c, size_t row) {
        c.kernels.scale(c.buffers[x].floats(row), factor, width, c.buffers[out].floats(row));
    });
}

std::unique_ptr<Instruction> make_select(size_t x, size_t width, size_t out) {
    const auto select = [=](const Context& c, size_t row) {
        const auto source = static_cast<size_t>(c.step.wanted[row]);
        std::memcpy(c.buffers[out].floats(row), c.buffers[x].floats(source), width * sizeof(float));
    };
    return per_row(RowsOf::kWanted, select, 0, Place::kFirst);
}

}  // namespace gadfly
