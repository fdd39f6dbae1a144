// The window of a convolution, and the shapes on its two sides.
#pragma once

#include "frame.h"

namespace csrve {

struct Window {
    Shape input{0, 0, 0}, output{0, 0, 0};
    int64_t kernel_y = 1, kernel_x = 1, stride_y = 1, stride_x = 1, dilation_y = 1, dilation_x = 1;
    int64_t pad_top = 0, pad_left = 0, group = 1;

    int64_t taps() const { return kernel_y * kernel_x; }
    bool strides() const { return stride_y > 1 || stride_x > 1; }
    // Rows of the input from the first one under a tile of `rows` output rows to the last.
    int64_t rows_under(int64_t rows) const { return (rows - 1) * stride_y + (kernel_y - 1) * dilation_y + 1; }

    // Zeros that it needs around its input.
    Border border() const {
        const int64_t last_row = rows_under(output.height) - 1 - pad_top;
        const int64_t last_column = (output.width - 1) * stride_x + (kernel_x - 1) * dilation_x - pad_left;
        Border around;
        around.top = pad_top;
        around.left = pad_left;
        around.bottom = std::max<int64_t>(0, last_row + 1 - input.height);
        around.right = std::max<int64_t>(0, last_column + 1 - input.width);
        return around;
    }
};

}  // namespace csrve
