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

void compare_attention(Comparison& compare, Random& random) {
    constexpr size_t kStride = 96;
    for (const Values kind : {Values::kHalf, Values::kInt8}) {
        for (const Shape shape : {Shape{64, 16, 6, kind}, Shape{40, 32, 3, kind}}) {
            const std::vector<std::byte> memory = random_pages(random, shape);
            std::vector<int32_t> pages(shape.pages);
            for (size_t i = 0; i < shape.pages; i++) pages[i] = static_cast<int32_t>(shape.pages - 1 - i);
            const std::vector<float> queries = random.numbers(kQueries * shape.head_dim, 4);
            for (size_t count = 1; count <= kQueries; count++) {
                for (const float softcap : {0.0F, 5.0F}) {
                    AttendTask task{};
                    for (size_t q = 0; q < count; q++) {
                        task.query[q] = queries.data() + q * shape.head_dim;
                        task.visible[q] = 80 + random.below(16);
                        task.first[q] = random.below(2) == 0 ? 16 : 16 + random.below(60);
                        task.temperature[q] = 1 + random.number(0.2F);
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
                    task.page_stride = memory.size() / shape.pages;
                    task.score_stride = kStride;
                    compare("attention", [&](const Kernels& kernels) {
                        std::vector<float> scores(kQueries * kStride), out(count * shape.head_dim);
                        AttendTask own = task;
                        for (size_t q = 0; q < count; q++) own.out[q] = out.data() + q * shape.head_dim;
                        own.scores = scores.data();
                        kernels.attend(own);
                        return out;
                    });
                }
            }
        }
    }
}

}  // namespace
}  // namespace gadfly

int main() { return gadfly::compare_kernels("attention", gadfly::compare_attention); }
