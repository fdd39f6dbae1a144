#include "tiles.h"

namespace csrve {

namespace {

constexpr int kMostInRow = 16;  // vectors of a tile row that there are kernels for

int64_t vectors_in_row(const Walk& walk) { return Frame::ceiling(walk.width * walk.lanes, walk.vector_width); }

int64_t vectors_in_plane(const Walk& walk) {
    return Frame::ceiling((walk.height - 1) * walk.row + walk.width * walk.lanes, walk.vector_width);
}

// Equal shares of a run of `vectors`, none of more than `most`.
template <typename Add>
void share_out(int64_t vectors, int64_t most, const Add& add) {
    const int64_t count = Frame::ceiling(vectors, most);
    int64_t first = 0;
    for (int64_t tile = 0; tile < count; ++tile) {
        const int64_t mine = vectors / count + (tile < vectors % count);
        add(first, mine);
        first += mine;
    }
}

// Along each row of the output, `rows` of them at a time as far as they go.
std::vector<Tile> cut_along_rows(const Walk& walk, int rows, int64_t most) {
    std::vector<Tile> tiles;
    for (int64_t y = 0; y < walk.height;) {
        const int mine = static_cast<int>(std::min<int64_t>(rows, walk.height - y));
        share_out(vectors_in_row(walk), most, [&](int64_t first, int64_t count) {
            const int64_t done = first * walk.vector_width, position = y * walk.row + done;
            const int64_t floats = std::min(count * walk.vector_width, walk.width * walk.lanes - done);
            tiles.push_back({position, mine, static_cast<int>(count), floats, 0, 0, -1});
        });
        y += mine;
    }
    return tiles;
}

// Along the plane as one run of floats: what is computed for the border between two rows is thrown away, but rows
// shorter than a vector waste nothing.
std::vector<Tile> cut_along_plane(const Walk& walk, int64_t most) {
    std::vector<Tile> tiles;
    share_out(vectors_in_plane(walk), most, [&](int64_t first, int64_t count) {
        const int64_t width = walk.vector_width;
        tiles.push_back({first * width, 1, static_cast<int>(count), count * width, 0, 0, -1});
    });
    return tiles;
}

// Collects where the rows of one tile go.
class Writer {
  public:
    Writer(const Walk& walk, const Frame& output, const Frame* residual, Destinations& made)
        : walk_(walk), output_(output), residual_(residual), made_(made) {}

    void add(Tile& tile) {
        const int64_t floats = static_cast<int64_t>(tile.vectors) * walk_.vector_width;
        tile.first_segment = static_cast<int64_t>(made_.segments.size());
        for (int row = 0; row < tile.rows; ++row)
            add_run(tile.position + row * walk_.row, tile.floats, row * floats);
        tile.last_segment = static_cast<int64_t>(made_.segments.size());
        add_places(tile);
    }

  private:
    // The floats from `start` on that are one row of a tile; `source` is where they lie in its sums.
    void add_run(int64_t start, int64_t floats, int64_t source) {
        const int64_t used = walk_.width * walk_.lanes, end = start + floats;
        // A run along the plane may reach into the next row: where windows overlap just the border the two share.
        const int64_t top = start < used ? 0 : (start - used) / walk_.row + 1;
        for (int64_t y = top; y < walk_.height && y * walk_.row < end; ++y) {
            const int64_t first = std::max(start, y * walk_.row), last = std::min(end, y * walk_.row + used);
            if (first < last) add_row(y, first - y * walk_.row, last - first, source + first - start);
        }
    }

    // `count` floats of output row y, from float `start` of it on.
    void add_row(int64_t y, int64_t start, int64_t count, int64_t source) {
        const int64_t lanes = walk_.lanes, residual = residual_ ? residual_->pixel(y, 0) * lanes + start : 0;
        auto add = [&](int64_t from, int64_t step, int64_t length, int64_t target) {
            made_.segments.push_back({static_cast<int32_t>(source + from), static_cast<int32_t>(step), length, target,
                                      residual + from});
        };
        if (output_.stride_x == 1) {
            add(0, 1, count, output_.pixel(y, 0) * lanes + start);
        } else if (lanes == 1) {
            for (int64_t first = 0; first < std::min(output_.stride_x, count); ++first)
                add(first, output_.stride_x, Frame::ceiling(count - first, output_.stride_x),
                    output_.pixel(y, start + first));
        } else {
            for (int64_t done = 0; done < count;) {
                const int64_t x = (start + done) / lanes, lane = (start + done) % lanes;
                const int64_t length = std::min(lanes - lane, count - done);
                add(done, 1, length, output_.pixel(y, x) * lanes + lane);
                done += length;
            }
        }
    }

    void add_places(Tile& tile) {
        const int64_t width = walk_.vector_width;
        std::vector<VectorPlace> places;
        for (int64_t index = tile.first_segment; index < tile.last_segment; ++index) {
            const Segment& segment = made_.segments[index];
            if (segment.step != 1 || segment.count % width || segment.source % width) return;
            for (int64_t at = 0; at < segment.count; at += width)
                places.push_back({segment.target + at, segment.residual + at});
        }
        if (static_cast<int>(places.size()) != tile.rows * tile.vectors) return;
        tile.first_place = static_cast<int64_t>(made_.places.size());
        made_.places.insert(made_.places.end(), places.begin(), places.end());
        made_.segments.resize(tile.first_segment);
        tile.last_segment = tile.first_segment;
    }

    const Walk& walk_;
    const Frame& output_;
    const Frame* residual_;
    Destinations& made_;
};

}  // namespace

std::vector<Cut> cuts_for(const Walk& walk) {
    std::vector<Cut> cuts;
    const int64_t in_row = vectors_in_row(walk);
    for (int rows = 1; rows <= std::min<int64_t>(walk.max_rows, walk.height); ++rows) {
        const int64_t most = std::min({walk.max_vectors / rows, kMostInRow, static_cast<int>(in_row)});
        for (int64_t tiles = Frame::ceiling(in_row, most), before = 0; tiles <= in_row; tiles += 1 + tiles / 2) {
            const int64_t vectors = Frame::ceiling(in_row, tiles);
            if (vectors != before) cuts.push_back({false, rows, vectors});
            before = vectors;
        }
    }
    if (walk.row <= 2 * walk.width * walk.lanes) cuts.push_back({true, 1, std::min(walk.max_vectors, kMostInRow)});
    return cuts;
}

std::vector<TileKind> kinds_of(const Walk& walk, const Cut& cut) {
    std::vector<TileKind> kinds;
    auto add = [&](int64_t rows, int64_t times, int64_t vectors) {
        const int64_t count = Frame::ceiling(vectors, cut.vectors), larger = vectors % count;
        if (times && larger) kinds.push_back({rows, vectors / count + 1, times * larger});
        if (times) kinds.push_back({rows, vectors / count, times * (count - larger)});
    };
    if (cut.along_plane) {
        add(1, 1, vectors_in_plane(walk));
    } else {
        add(cut.rows, walk.height / cut.rows, vectors_in_row(walk));
        add(walk.height % cut.rows, walk.height % cut.rows > 0, vectors_in_row(walk));
    }
    return kinds;
}

std::vector<Tile> tiles_of(const Walk& walk, const Cut& cut) {
    return cut.along_plane ? cut_along_plane(walk, cut.vectors) : cut_along_rows(walk, cut.rows, cut.vectors);
}

Destinations destinations_of(const Walk& walk, const Frame& output, const Frame* residual, std::vector<Tile>& tiles) {
    Destinations made;
    Writer writer(walk, output, residual, made);
    for (Tile& tile : tiles) writer.add(tile);
    return made;
}

}  // namespace csrve
