// Products of packed matrices, in every layout, with int8 or float activations of one token or many.
#include "tests/comparison.h"
#include "tests/int8_rows.h"

namespace gadfly {
namespace {

Rows rows_of(std::vector<float>& floats, size_t width) {
    return {reinterpret_cast<std::byte*>(floats.data()), width * sizeof(float)};
}

void compare_product(Comparison& compare, Random& random, Layout layout, size_t columns, size_t tokens) {
    constexpr size_t kRows = 75;
    const PackedMatrix matrix = random.matrix(layout, kRows, columns);
    std::vector<float> x = random.numbers(tokens * columns, 3);
    const std::string what = "product with layout " + std::to_string(static_cast<int>(layout)) + ", " +
                             std::to_string(columns) + " columns, " + std::to_string(tokens) + " tokens";
    const auto product = [&](const Kernels& kernels, Rows rows, Rows rest) {
        std::vector<float> out(tokens * kRows);
        kernels.linear(matrix, rows, rest, 0, tokens, 0, matrix.strips(), rows_of(out, kRows));
        return out;
    };
    if (is_float(layout)) {
        const std::vector<float> before = random.numbers(tokens * kRows), factors = random.numbers(tokens);
        compare(what + ", added", [&](const Kernels& kernels) {
            std::vector<float> out = before;
            kernels.add_linear(matrix, rows_of(x, columns), factors.data(), 0, tokens, 0, matrix.strips(),
                               rows_of(out, kRows));
            return out;
        });
        return compare(what, [&](const Kernels& kernels) { return product(kernels, rows_of(x, columns), {}); });
    }
    Int8Rows rounded(compare.portable, x, columns);
    std::vector<float> left_out(x.size());
    for (size_t t = 0; t < tokens; t++) {
        compare.portable.residual(x.data() + t * columns, rounded.at(t), columns, left_out.data() + t * columns);
    }
    Int8Rows rest(compare.portable, left_out, columns);
    compare(what, [&](const Kernels& kernels) { return product(kernels, rounded.rows(), {}); });
    compare(what + ", with the rest",
            [&](const Kernels& kernels) { return product(kernels, rounded.rows(), rest.rows()); });
}

void compare_products(Comparison& compare, Random& random) {
    for (int number = 0; number <= static_cast<int>(Layout::kIQ4_XS); number++) {
        const auto layout = static_cast<Layout>(number);
        for (const size_t tokens : {1, 2, 3, 4, 5, 6, 7, 11, 24}) compare_product(compare, random, layout, 512, tokens);
        const size_t odd = columns_unit(layout) == 1 ? 75 : 288;  // not all of a panel
        if (odd % columns_unit(layout) == 0) compare_product(compare, random, layout, odd, 25);
    }
    compare_product(compare, random, Layout::kQ4_1, 64, 300);
    for (const size_t columns : {1, 8, 40}) compare_product(compare, random, Layout::kF16, columns, 300);
}

}  // namespace
}  // namespace gadfly

int main() { return gadfly::compare_kernels("products", gadfly::compare_products); }
