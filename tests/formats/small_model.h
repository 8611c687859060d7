#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "formats/hdf5_writer.h"

namespace kerf::test {

// One member of a zip file that may lie about itself.
struct RawMember {
  std::string name;
  std::string data;          // as it stands in the file
  std::uint16_t method = 0;  // 0 stored, 8 deflated
  std::uint16_t flags = 0;
  std::uint64_t size = ~0ULL;  // claimed; by default that of `data`
  std::uint32_t crc = 0;       // claimed, where `size` or `wrong_crc` is set
  bool wrong_crc = false;
  std::string local_name{};  // in the local header, where it differs
};
std::string raw_zip(const std::vector<RawMember>& members);
std::string deflated(const std::string& data);
std::uint32_t crc_of(const std::string& data);

// A model x (4) -> Dense "d" (3, relu) -> Dense "e" (2), to be spoilt by tests.
boost::json::object small_config();
// The inner layers of a config, its n-th layer, and the config of that.
boost::json::object& layer_at(boost::json::object& model, std::size_t n);
boost::json::object& config_at(boost::json::object& model, std::size_t n);
// Its weights as Keras 3 stores them.
std::string small_weights();
std::string small_weights(const std::function<void(formats::Hdf5Writer&)>& write);
std::vector<RawMember> small_members(const boost::json::object& config = small_config(),
                                     const std::string& weights = small_weights());

}  // namespace kerf::test
