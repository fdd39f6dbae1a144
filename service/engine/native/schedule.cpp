#include "schedule.h"

namespace csrve {

namespace {

struct Run {
    int64_t start, length;  // floats
};

std::vector<Run> runs_along_rows(const Walk& walk) {
    std::vector<Run> runs;
    for (int64_t y = 0; y < walk.height; ++y)
        runs.push_back({y * walk.pitch * walk.lanes, walk.width * walk.lanes});
    return runs;
}

std::vector<Run> run_along_plane(const Walk& walk) {
    return {{0, ((walk.height - 1) * walk.pitch + walk.width) * walk.lanes}};
}

std::vector<Tile> cut(const std::vector<Run>& runs, const Walk& walk) {
    std::vector<Tile> tiles;
    for (const Run& run : runs) {
        const int64_t vectors = Frame::ceiling(run.length, walk.vector_width);
        const int64_t count = Frame::ceiling(vectors, walk.max_vectors);
        int64_t position = run.start;
        for (int64_t tile = 0; tile < count; ++tile) {
            const int64_t mine = vectors / count + (tile < vectors % count);
            tiles.push_back({position, static_cast<int>(mine), 0, 0});
            position += mine * walk.vector_width;
        }
    }
    return tiles;
}

// Half cycles of a non-zero: two loads start each cycle, and the weight and its offset are loads as well.
int64_t cost_of(const std::vector<Tile>& tiles) {
    int64_t cost = 0;
    for (const Tile& tile : tiles) cost += tile.vectors + 2;
    return cost;
}

// `count` floats of output row y, from float `start` of it on; they are at `source` in the tile.
void add_row(Schedule& schedule, const Walk& walk, int64_t y, int64_t start, int64_t count, int64_t source) {
    const Frame& output = *walk.output;
    const int64_t lanes = walk.lanes;
    const int64_t residual = walk.residual ? walk.residual->pixel(y, 0) * lanes + start : 0;
    auto add = [&](int64_t from, int64_t step, int64_t length, int64_t target) {
        schedule.segments.push_back({static_cast<int32_t>(source + from), static_cast<int32_t>(step), length, target,
                                     residual + from});
    };
    if (output.stride_x == 1) {
        add(0, 1, count, output.pixel(y, 0) * lanes + start);
    } else if (lanes == 1) {
        for (int64_t first = 0; first < std::min(output.stride_x, count); ++first)
            add(first, output.stride_x, Frame::ceiling(count - first, output.stride_x), output.pixel(y, start + first));
    } else {
        for (int64_t done = 0; done < count;) {
            const int64_t x = (start + done) / lanes, lane = (start + done) % lanes;
            const int64_t length = std::min(lanes - lane, count - done);
            add(done, 1, length, output.pixel(y, x) * lanes + lane);
            done += length;
        }
    }
}

void add_segments(Schedule& schedule, const Walk& walk, Tile& tile) {
    const int64_t row_floats = walk.pitch * walk.lanes, used = walk.width * walk.lanes;
    const int64_t end = tile.position + static_cast<int64_t>(tile.vectors) * walk.vector_width;
    tile.first_segment = static_cast<int64_t>(schedule.segments.size());
    // A row may reach into the next one's pitch: where windows overlap just the border that the two share.
    const int64_t top = tile.position < used ? 0 : (tile.position - used) / row_floats + 1;
    for (int64_t y = top; y < walk.height && y * row_floats < end; ++y) {
        const int64_t first = std::max(tile.position, y * row_floats), last = std::min(end, y * row_floats + used);
        if (first < last) add_row(schedule, walk, y, first - y * row_floats, last - first, first - tile.position);
    }
    tile.last_segment = static_cast<int64_t>(schedule.segments.size());
}

}  // namespace

Schedule cut_into_tiles(const Walk& walk) {
    std::vector<Tile> rows = cut(runs_along_rows(walk), walk), plane = cut(run_along_plane(walk), walk);
    Schedule schedule;
    schedule.tiles = cost_of(rows) <= cost_of(plane) ? std::move(rows) : std::move(plane);
    for (Tile& tile : schedule.tiles) add_segments(schedule, walk, tile);
    return schedule;
}

}  // namespace csrve
