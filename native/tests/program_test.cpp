// Threads, stealing and waiting under stress: many pools, more threads than processors, two programs at once.
//
// What an instruction computes here depends on everything its predecessors computed, so that a unit which is lost, done
// twice or begun too early shows in the result. Made for -fsanitize=thread:
//
//     cmake -S . -B build/tsan -DGADFLY_PYTHON=OFF -DGADFLY_TESTS=ON -DCMAKE_CXX_FLAGS="-fsanitize=thread -g"
//     cmake --build build/tsan && build/tsan/program_test
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "runtime/per_row.h"
#include "runtime/program.h"

namespace gadfly {
namespace {

constexpr size_t kUnits = 61, kRounds = 40, kSteps = 12;

// out[unit] = Σ x + unit: every unit reads all that the previous instruction wrote.
class SumUp final : public Instruction {
  public:
    SumUp(size_t x, size_t out) : x_(x), out_(out) {}
    size_t units(const Step&, size_t) const override { return kUnits; }
    void run(const Context& c, size_t unit) const noexcept override {
        const float* x = c.buffers[x_].floats(0);
        float total = 0;
        for (size_t i = 0; i < kUnits; i++) total += x[i];
        c.buffers[out_].floats(0)[unit] = total * 0.01F + static_cast<float>(unit);
    }

  private:
    size_t x_, out_;
};

// Rounds of: sum up, then two row-wise instructions, which become a chain.
class Stressed {
  public:
    Stressed() : program_(portable_kernels()) {
        const size_t width = kUnits * sizeof(float);
        const size_t x = program_.add_buffer({RowsOf::kTokens, width}),
                     y = program_.add_buffer({RowsOf::kTokens, width});
        const auto step = [](size_t from, size_t to) {
            return per_row(RowsOf::kTokens, [from, to](const Context& c, size_t row) {
                for (size_t i = 0; i < kUnits; i++) {
                    c.buffers[to].floats(row)[i] = c.buffers[from].floats(row)[i] * 0.5F + 1.0F;
                }
            });
        };
        const auto clear = [x](const Context& c, size_t row) {
            for (size_t i = 0; i < kUnits; i++) c.buffers[x].floats(row)[i] = 0;
        };
        program_.add("clear", per_row(RowsOf::kTokens, clear), {}, {x});
        for (size_t round = 0; round < kRounds; round++) {
            program_.add("sum up", std::make_unique<SumUp>(x, y), {x}, {y});
            program_.add("step", step(y, x), {y}, {x});
            program_.add("step", step(x, y), {x}, {y});
            program_.add("step", step(y, x), {y}, {x});
        }
        result_ = x;
    }

    std::vector<float> run(ThreadPool& pool) {
        const Step step{{0, 0, 0}, {0, 1, 2}, {0, 3}, {0}, {0, 1}, {}, {}};
        std::vector<float> found(3 * kUnits);
        program_.run(pool, step, result_, found.data());
        return found;
    }

  private:
    Program program_;
    size_t result_ = 0;
};

void expect_same(const std::vector<float>& found, const std::vector<float>& expected, size_t threads) {
    if (found == expected) return;
    std::printf("%zu threads compute something else than one\n", threads);
    std::exit(1);
}

void stress() {
    ThreadPool alone(1);
    const std::vector<float> expected = Stressed().run(alone);
    for (const size_t threads : {2, 3, 5, 16, 128}) {
        ThreadPool pool(threads);
        Stressed program;
        for (size_t step = 0; step < kSteps; step++) expect_same(program.run(pool), expected, threads);
    }
    for (size_t i = 0; i < 50; i++) {
        ThreadPool unused(4);
        ThreadPool brief(3);
        expect_same(Stressed().run(brief), expected, 3);
    }
    std::vector<std::thread> callers;  // two pools, and two callers of each
    ThreadPool pools[2] = {ThreadPool(2), ThreadPool(3)};
    for (size_t i = 0; i < 4; i++) {
        callers.emplace_back([&, i] {
            Stressed program;
            for (size_t step = 0; step < kSteps; step++) expect_same(program.run(pools[i % 2]), expected, 2 + i % 2);
        });
    }
    for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace gadfly

int main() {
    gadfly::stress();
    std::puts("same results for any number of threads");
}
