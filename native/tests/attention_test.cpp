// Attention over pages of half floats and int8, with and without a cap and a window.
#include <algorithm>

#include "tests/comparison.h"

namespace gadfly {
namespace {

struct Shape {
    size_t head_dim, page_size, pages;
    Values kind;
};

// The keys of all pages, then the values.
std::vector<std::byte> random_pages(Random& random, const Shape& shape) {
    const size_t key_bytes = HeadPage::key_bytes(shape.head_dim, shape.page_size),
                 value_bytes = HeadPage::value_bytes(shape.kind, shape.head_dim, shape.page_size);
    std::vector<std::byte> made;
    const auto put = [&](auto one) {
        const auto* bytes = reinterpret_cast<const std::byte*>(&one);
        made.insert(made.end(), bytes, bytes + sizeof one);
    };
    for (size_t page = 0; page < shape.pages; page++) {
        const size_t values_at = made.size() + key_bytes, end = values_at + value_bytes;
        while (made.size() < values_at) put(random.half());
        if (shape.kind == Values::kHalf) {
            while (made.size() < end) put(random.half());
        } else {
            while (made.size() < end - shape.page_size * sizeof(float)) put(static_cast<int8_t>(random.bits()));
            while (made.size() < end) put(random.number(0.02F));
        }
    }
    return made;
}

// As a program does it: spans kept apart or merged as they come, then concluded.
std::vector<float> attended(const Kernels& kernels, AttendTask task) {
    const size_t floats = AttendState::floats(task.head_dim), spans = (task.end - 1) / kSpan + 1;
    std::vector<float> scratch(AttendTask::scratch_floats(task.head_dim)), states(spans * task.queries * floats);
    task.scratch = scratch.data();
    task.states = states.data();
    kernels.attend(task);
    std::vector<float> out(task.queries * task.head_dim);
    for (size_t q = 0; q < task.queries; q++) {
        kernels.conclude(states.data() + q * floats, task.apart ? spans - 1 : 0, task.queries * floats, task.head_dim,
                         out.data() + q * task.head_dim);
    }
    return out;
}

void compare_attention(Comparison& compare, Random& random) {
    for (const Values kind : {Values::kHalf, Values::kInt8}) {
        for (const Shape shape : {Shape{64, 16, 38, kind}, Shape{40, 32, 19, kind}}) {
            std::vector<std::byte> memory = random_pages(random, shape);
            const size_t page_stride = memory.size() / shape.pages;
            memory.resize(memory.size() + 64);  // the last values are read by sixteen
            std::vector<int32_t> pages(shape.pages);
            for (size_t i = 0; i < shape.pages; i++) pages[i] = static_cast<int32_t>(shape.pages - 1 - i);
            const std::vector<float> queries = random.numbers(kQueries * shape.head_dim, 4);
            for (const size_t count : {1, 2, 5, 6, 7, 12, 13, 48}) {
                for (const float softcap : {0.0F, 5.0F}) {
                    AttendTask task{};
                    for (size_t q = 0; q < count; q++) {
                        task.query[q] = queries.data() + q * shape.head_dim;
                        task.visible[q] = 580 + random.below(25);
                        task.first[q] = random.below(2) == 0 ? 16 : 16 + random.below(500);
                        task.temperature[q] = 1 + random.number(0.2F);
                        task.end = std::max(task.end, task.visible[q]);
                    }
                    task.queries = count;
                    task.begin = 16;
                    task.head_dim = shape.head_dim;
                    task.page_size = shape.page_size;
                    task.scale = 0.3F;
                    task.softcap = softcap;
                    task.pages = pages.data();
                    task.keys = memory.data();
                    task.values = task.keys + HeadPage::key_bytes(shape.head_dim, shape.page_size);
                    task.kind = kind;
                    task.page_stride = page_stride;
                    task.apart = count < 6;
                    compare("attention", [&](const Kernels& kernels) { return attended(kernels, task); });
                }
            }
        }
    }
}

}  // namespace
}  // namespace gadfly

int main() { return gadfly::compare_kernels("attention", gadfly::compare_attention); }
